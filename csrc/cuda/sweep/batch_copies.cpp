// Knows batches again by their integers.
#include "cuda/sweep/batch_copies.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/driver/current_stream.h"

namespace cavs::cuda {
namespace {

std::vector<std::vector<int32_t>> integers_of(const std::vector<ExternalArray>& inputs) {
  std::vector<std::vector<int32_t>> found;
  for (const ExternalArray& input : inputs) {
    if (input.dtype != DType::kInt32) continue;
    const auto* ids = static_cast<const int32_t*>(input.data);
    found.emplace_back(ids, ids + input.elements);
  }
  return found;
}

bool same_integers(const std::vector<std::vector<int32_t>>& known,
                   const std::vector<ExternalArray>& inputs) {
  size_t i = 0;
  for (const ExternalArray& input : inputs) {
    if (input.dtype != DType::kInt32) continue;
    if (i == known.size() || static_cast<int64_t>(known[i].size()) != input.elements) return false;
    const auto* ids = static_cast<const int32_t*>(input.data);
    if (!std::equal(known[i].begin(), known[i].end(), ids)) return false;
    ++i;
  }
  return i == known.size();
}

}  // namespace

std::shared_ptr<Block> BatchCopies::find(uint64_t program, const std::set<ListId>& lists,
                                         const int64_t* keys, int64_t graphs,
                                         const std::vector<ExternalArray>& inputs,
                                         Allocator& allocator, int64_t bytes, const Stream& stream,
                                         const Fill& fill) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto of_lists = [&](const ListId& a, const ListId& b) { return !(a < b) && !(b < a); };
  const auto found = std::find_if(copies_.begin(), copies_.end(), [&](const Copy& copy) {
    return copy.program == program && copy.lists.size() == lists.size() &&
           std::equal(lists.begin(), lists.end(), copy.lists.begin(), of_lists);
  });
  const bool same = found != copies_.end() &&
                    std::equal(found->keys.begin(), found->keys.end(), keys, keys + graphs) &&
                    same_integers(found->integers, inputs);
  if (same) {
    if (found->filled) {
      if (!same_stream(found->stream, stream.handle())) stream.wait(*found->filled);
      return found->block;
    }
    // Under the lock: who finds the block next finds it filled, by work that comes first.
    if (!found->block) found->block = std::make_shared<Block>(allocator, bytes);
    fill(*found->block);
    auto filled = std::make_unique<Event>();
    stream.record(*filled);
    found->stream = stream.handle();
    found->filled = std::move(filled);
    return found->block;
  }
  if (found != copies_.end()) copies_.erase(found);
  if (copies_.size() == kMost) copies_.erase(copies_.begin());
  copies_.push_back({program, lists, {keys, keys + graphs}, integers_of(inputs), {}, {}, {}});
  return nullptr;
}

}  // namespace cavs::cuda
