// Copies on a GPU of what batches that come again bring: tables of distinct ids, lists of the
// schedule, integer inputs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "cuda/driver/gpu.h"
#include "cuda/sweep/staged_lists.h"
#include "graph/schedule.h"
#include "memory/allocator.h"

namespace cavs::cuda {

// Of one schedule; thread-safe. A batch that comes once leaves the integers here and no memory of
// the GPU; the second time it gets a block there, and from then on nothing is copied.
class BatchCopies final : public Schedule::Mirror {
 public:
  // Brings what stands in a block there, in the order of the stream at hand.
  using Fill = std::function<void(const Block& block)>;

  // The block for a call of the program with this number over lists and inputs, which work on the
  // stream may read from now on; null where the batch has none. `bytes`: of the block. Where `fill`
  // throws, the next call fills.
  std::shared_ptr<Block> find(uint64_t program, const std::set<ListId>& lists, const int64_t* keys,
                              int64_t graphs, const std::vector<ExternalArray>& inputs,
                              Allocator& allocator, int64_t bytes, const Stream& stream,
                              const Fill& fill);

 private:
  struct Copy {
    uint64_t program = 0;
    std::set<ListId> lists;
    std::vector<int64_t> keys;
    std::vector<std::vector<int32_t>> integers;  // of the inputs that have integers
    std::shared_ptr<Block> block;
    StreamHandle stream = nullptr;  // on which it was filled
    std::unique_ptr<Event> filled;  // null until it was
  };
  static constexpr size_t kMost = 4;  // programs of one batch: training, evaluation

  std::mutex mutex_;
  std::vector<Copy> copies_;
};

}  // namespace cavs::cuda
