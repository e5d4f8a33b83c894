// Hands out pinned blocks with which the device is done.
#include "cuda/driver/pinned_ring.h"

#include <algorithm>
#include <utility>

namespace cavs::cuda {

std::unique_ptr<PinnedRing::Slot> PinnedRing::take(int64_t bytes) {
  std::unique_ptr<Slot> slot;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    const bool full = slots_.size() >= kMostSlots;
    if (full || (!slots_.empty() && slots_.front()->done->is_done())) {
      slot = std::move(slots_.front());
      slots_.erase(slots_.begin());
    }
  }
  if (slot) {
    if (!slot->done->is_done()) slot->done->synchronize();
  } else {
    slot = std::make_unique<Slot>();
    slot->done = std::make_unique<Event>();
  }
  const auto wanted = static_cast<size_t>(bytes);
  if (!slot->block || slot->block->bytes() < wanted) {
    // Half as much again, so that slowly growing batches take few blocks.
    slot->block = std::make_unique<PinnedBlock>(wanted + wanted / 2);
  }
  return slot;
}

void PinnedRing::give(std::unique_ptr<Slot> slot) {
  const std::lock_guard<std::mutex> guard(mutex_);
  slots_.push_back(std::move(slot));
}

}  // namespace cavs::cuda
