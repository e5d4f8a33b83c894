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
  explicit Arena(Device device = Device::kCpu) : allocator_(&device_allocator(device)) {}

  // Takes `bytes` more and returns their offset, a multiple of kAlignment.
  int64_t allocate(int64_t bytes);
  // Makes the first `bytes` bytes usable; what was in use before keeps its contents.
  void reserve(int64_t bytes);
  // Forgets what is in use and keeps the memory. Views made before are stale from here on.
  void reset();

  std::byte* data() const { return block_ ? block_->data() : nullptr; }
  const std::shared_ptr<Block>& block() const { return block_; }
  Device device() const { return allocator_->device(); }
  int64_t used() const { return used_; }
  int64_t capacity() const;                           // bytes usable without growing
  int64_t high_water() const { return high_water_; }  // greatest `used` since construction
  int64_t epoch() const { return epoch_; }            // number of resets

 private:
  Allocator* allocator_;
  std::shared_ptr<Block> block_;  // shared with views, which may outlive a growth
  int64_t used_ = 0;
  int64_t high_water_ = 0;
  int64_t epoch_ = 0;
};

// Arenas between two uses. Thread-safe.
class ArenaPool {
 public:
  // The smallest pooled arena of at least `bytes`, else the largest, else a new one; reset.
  std::unique_ptr<Arena> take(int64_t bytes);
  // Takes it back; keeps the kMaxPooled largest.
  void give(std::unique_ptr<Arena> arena);
  // Frees what is pooled.
  void clear();
  int64_t pooled_bytes() const;

 private:
  static constexpr size_t kMaxPooled = 8;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;
};

// The pool that runs on the CPU share.
ArenaPool& cpu_arenas();

}  // namespace cavs
