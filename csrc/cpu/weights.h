// Weights in the layout that products read fastest (pack_weight in cpu/kernel.h), kept between
// the runs of a program.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cpu/chunks.h"
#include "memory/allocator.h"
#include "program/program.h"
#include "runtime/row_counts.h"

namespace cavs {

// A parameter as the second factor (k, n) of row by row products, or as the weight of a
// convolution.
struct WeightUse {
  int value = -1;
  bool transposed = false;  // it stands as (n, k)
  int64_t k = 0, n = 0;
  const Instruction* convolution = nullptr;  // the only one that reads these panels
  struct Product {
    int segment = 0;
    Space space;
  };
  std::vector<Product> products;  // the instructions that multiply with it
};

struct WeightUses {
  std::vector<WeightUse> uses;
  std::vector<std::vector<int>> of;  // [segment][instruction] index of its use, or -1
};

// Which operand of the instruction is a weight that may be packed: 0, 1, or -1 for none.
int weight_operand(const Program& program, const Instruction& instruction);

WeightUses find_weights(const Program& program);

// The bytes of its panels. pack_use makes part `thread` of `num_threads` of them, with the scratch
// of a thread.
int64_t bytes_of_panels(DType dtype, const WeightUse& use);
void pack_use(DType dtype, const WeightUse& use, const void* weight, void* packed, void* scratch,
              int thread, int num_threads);

// Whether the weight is multiplied with so many rows, in so many calls, that packing it saves time.
// `chunks`: by segment. Products without panels give the same bits (PackedProduct), so only time
// matters.
bool worth_packing(const WeightUse& use, const Program& program, const RowCounts& counts,
                   const Schedule& schedule, const std::vector<const ChunkPlan*>& chunks);

// Whether any rows are: types of a function may have none in a batch.
bool is_used(const WeightUse& use, const RowCounts& counts);

// The panels that were packed last. Several runs of one program may go on at once, each with its
// own panels.
class WeightStore {
 public:
  explicit WeightStore(size_t count);

  // The panels of this version of weight `w`, if they are here, else null.
  std::shared_ptr<Block> find(size_t w, int64_t version);
  // Memory for new panels: the memory of the last panels where nobody reads them any more, else new
  // memory.
  std::shared_ptr<Block> take(size_t w, int64_t bytes);
  // A negative version is unknown, so the next run packs again.
  void keep(size_t w, int64_t version, std::shared_ptr<Block> panels);

 private:
  struct Entry {
    std::shared_ptr<Block> panels;
    int64_t version = -1;
  };
  // The last reader of panels leaves their memory here. The spares outlive the store while panels
  // have readers.
  struct Spares {
    std::mutex mutex;
    std::vector<std::unique_ptr<Block>> blocks;  // [weight]
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::shared_ptr<Spares> spares_;
};

}  // namespace cavs
