// Pinned memory for uploads, taken again once the device has read it. The host waits only where it
// is many uploads ahead.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda/gpu.h"

namespace cavs::cuda {

class PinnedRing {
 public:
  // `fill(block)` writes `bytes` bytes, and one asynchronous copy brings them to `to`. Thread-safe.
  template <class Fill>
  void upload(const Stream& stream, Address to, int64_t bytes, const Fill& fill) {
    if (bytes == 0) return;
    std::unique_ptr<Slot> slot = take(bytes);
    fill(slot->block->data());
    stream.copy_to_device(to, slot->block->data(), static_cast<size_t>(bytes));
    stream.record(*slot->read);
    give(std::move(slot));
  }

 private:
  struct Slot {
    std::unique_ptr<PinnedBlock> block;
    std::unique_ptr<Event> read;  // by the device
  };
  std::unique_ptr<Slot> take(int64_t bytes);
  void give(std::unique_ptr<Slot> slot);

  static constexpr size_t kMostSlots = 128;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;  // the oldest first
};

}  // namespace cavs::cuda
