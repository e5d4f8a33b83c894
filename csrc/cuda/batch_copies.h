// Copies on a GPU of what batches that come again bring: tables of distinct ids, lists of the
// schedule, integer inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "cuda/staged_lists.h"
#include "graph/schedule.h"
#include "memory/allocator.h"

namespace cavs::cuda {

// Of one schedule; thread-safe. A batch that comes once leaves the integers here and no memory of
// the GPU; the second time it gets a block there, and from then on nothing is copied.
class BatchCopies final : public Schedule::Mirror {
 public:
  struct Found {
    std::shared_ptr<Block> block;  // null: the batch has none
    bool filled = false;           // whether the copy stands there already: see note_filled()
  };
  // For a call of the program with this number over lists and inputs. `bytes`: of the block.
  Found find(uint64_t program, const std::set<ListId>& lists, const int64_t* keys, int64_t graphs,
             const std::vector<ExternalArray>& inputs, Allocator& allocator, int64_t bytes);
  // To be called once the copy to a block is on its way.
  void note_filled(const Block& block);

 private:
  struct Copy {
    uint64_t program = 0;
    std::set<ListId> lists;
    std::vector<int64_t> keys;
    std::vector<std::vector<int32_t>> integers;  // of the inputs that have integers
    std::shared_ptr<Block> block;
    bool filled = false;
  };
  static constexpr size_t kMost = 4;  // programs of one batch: training, evaluation

  std::mutex mutex_;
  std::vector<Copy> copies_;
};

}  // namespace cavs::cuda
