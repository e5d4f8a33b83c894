// Memory of one run: a block that grows, addressed by offsets, and the pool that recycles it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "memory/allocator.h"

namespace cavs {

// Offsets stay valid when the arena grows, pointers do not: hold offsets, and ask for pointers once
// the size is known. Not for use by several threads at once.
class Arena {
 public:
  // The allocator must outlive the arena.
  explicit Arena(Allocator& allocator) : allocator_(allocator) {}

  // Makes the first `bytes` bytes usable; bytes in use before keep their contents.
  void reserve(int64_t bytes);
  // Counts no byte as in use any more, and keeps the memory.
  void reset() { used_ = 0; }

  std::byte* data() const { return block_ ? block_->data() : nullptr; }
  int64_t used() const { return used_; }
  int64_t capacity() const;  // bytes usable without growing

 private:
  Allocator& allocator_;
  std::unique_ptr<Block> block_;
  int64_t used_ = 0;
};

// Arenas of one allocator between two uses. Thread-safe.
class ArenaPool {
 public:
  explicit ArenaPool(Allocator& allocator) : allocator_(allocator) {}

  // The smallest pooled arena of at least `bytes`, else the largest, else a new one; reset.
  std::unique_ptr<Arena> take(int64_t bytes);
  // Takes an arena back; the pool keeps the kMaxPooled largest.
  void give(std::unique_ptr<Arena> arena);
  // Frees the pooled arenas.
  void clear();
  int64_t pooled_bytes() const;

 private:
  static constexpr size_t kMaxPooled = 8;
  Allocator& allocator_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;
};

}  // namespace cavs
