// Hands out pinned blocks with which the device is done.
#include "cuda/driver/pinned_ring.h"

#include <algorithm>
#include <utility>

namespace cavs::cuda {

std::unique_ptr<PinnedRing::Piece> PinnedRing::take(int64_t bytes) {
  std::unique_ptr<Piece> piece;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    const bool full = pieces_.size() >= kMostPieces;
    if (full || (!pieces_.empty() && pieces_.front()->done->is_done())) {
      piece = std::move(pieces_.front());
      pieces_.erase(pieces_.begin());
    }
  }
  if (piece) {
    if (!piece->done->is_done()) piece->done->synchronize();
  } else {
    piece = std::make_unique<Piece>();
    piece->done = std::make_unique<Event>();
  }
  const auto wanted = static_cast<size_t>(bytes);
  if (!piece->block || piece->block->bytes() < wanted) {
    // Half as much again, so that slowly growing batches take few blocks.
    piece->block = std::make_unique<PinnedBlock>(wanted + wanted / 2);
  }
  return piece;
}

void PinnedRing::give(std::unique_ptr<Piece> piece) {
  const std::lock_guard<std::mutex> guard(mutex_);
  pieces_.push_back(std::move(piece));
}

}  // namespace cavs::cuda
