// Memory of a GPU for arenas and arrays.
#pragma once

#include "cuda/gpus.h"
#include "memory/allocator.h"

namespace cavs::cuda {

class GpuAllocator final : public Allocator {
 public:
  // The GPU must live as long as the allocator.
  explicit GpuAllocator(OpenGpu& open) : open_(open) {}

  Device device() const override { return {DeviceKind::kCuda, open_.ordinal}; }
  bool on_host() const override { return false; }
  // Throws Error(kDevice) where the GPU has less; the message says how much it has.
  void* allocate(int64_t bytes) override;
  // Waits for work that may still use the memory.
  void deallocate(void* data, int64_t bytes) override;
  void* grow(void*, int64_t, int64_t) override { return nullptr; }
  // In the order of the current stream.
  void copy(void* to, const void* from, int64_t bytes) override;

 private:
  OpenGpu& open_;
};

}  // namespace cavs::cuda
