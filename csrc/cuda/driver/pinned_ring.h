// Pinned memory for copies, taken again once the device has done them, because it is slow to get.
// The host waits only where it is many copies ahead.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda/driver/gpu.h"

namespace cavs::cuda {

class PinnedRing {
 public:
  struct Piece {
    std::unique_ptr<PinnedBlock> block;
    std::unique_ptr<Event> done;  // the device with the block
  };
  // A piece with a block of `bytes` bytes or more. Thread-safe, as all of this.
  std::unique_ptr<Piece> take(int64_t bytes);
  // Once its event was recorded behind the work with the block, or is not needed.
  void give(std::unique_ptr<Piece> piece);

  // `fill(block)` writes `bytes` bytes, and one asynchronous copy brings them to `to`.
  template <class Fill>
  void upload(const Stream& stream, Address to, int64_t bytes, const Fill& fill) {
    if (bytes == 0) return;
    std::unique_ptr<Piece> piece = take(bytes);
    fill(piece->block->data());
    stream.copy_to_device(to, piece->block->data(), static_cast<size_t>(bytes));
    stream.record(*piece->done);
    give(std::move(piece));
  }

 private:
  static constexpr size_t kMostPieces = 128;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Piece>> pieces_;  // the oldest first
};

}  // namespace cavs::cuda
