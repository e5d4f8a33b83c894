// Grows arenas, and keeps arenas that are not in use.
#include "memory/arena.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace cavs {

int64_t Arena::capacity() const { return block_ ? block_->bytes() - kAlignment : 0; }

void Arena::reserve(int64_t bytes) {
  CAVS_CHECK(bytes >= 0, ErrorKind::kValue, "[memory] expected a size of 0 or more bytes, got ",
             bytes, "; check the sizes");
  if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
  if (bytes > capacity() || !block_) {
    // Half as much again, so that a slowly growing batch size costs few copies.
    const int64_t wanted = std::max(align_up(bytes), align_up(capacity() + capacity() / 2));
    if (!block_ || !block_->grow(wanted + kAlignment)) {
      auto block = std::make_unique<Block>(allocator_, wanted + kAlignment);
      if (block_) allocator_.copy(block->data(), block_->data(), used_);
      block_ = std::move(block);
    }
  }
  used_ = std::max(used_, bytes);
}

std::unique_ptr<Arena> ArenaPool::take(int64_t bytes) {
  std::unique_ptr<Arena> arena;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // Kept in ascending order of capacity, so the first that is large enough is the smallest.
    auto found = std::find_if(arenas_.begin(), arenas_.end(),
                              [&](const auto& pooled) { return pooled->capacity() >= bytes; });
    if (found == arenas_.end() && !arenas_.empty()) --found;
    if (found != arenas_.end()) {
      arena = std::move(*found);
      arenas_.erase(found);
    }
  }
  if (!arena) arena = std::make_unique<Arena>(allocator_);
  arena->reset();
  return arena;
}

void ArenaPool::give(std::unique_ptr<Arena> arena) {
  if (!arena) return;
  std::unique_ptr<Arena> dropped;  // freed after the lock is released
  std::lock_guard<std::mutex> lock(mutex_);
  const auto position = std::find_if(arenas_.begin(), arenas_.end(), [&](const auto& pooled) {
    return pooled->capacity() >= arena->capacity();
  });
  arenas_.insert(position, std::move(arena));
  if (arenas_.size() > kMaxPooled) {
    dropped = std::move(arenas_.front());
    arenas_.erase(arenas_.begin());
  }
}

void ArenaPool::clear() {
  std::vector<std::unique_ptr<Arena>> dropped;
  std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(arenas_);
}

int64_t ArenaPool::pooled_bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t bytes = 0;
  for (const auto& arena : arenas_) bytes += arena->capacity();
  return bytes;
}

}  // namespace cavs
