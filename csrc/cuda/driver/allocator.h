// Memory of a GPU for arenas and arrays.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda/driver/gpus.h"
#include "memory/allocator.h"

namespace cavs::cuda {

// Where memory comes from in place of the driver: another library's pool, so that both have one.
// The functions may be called by any thread, without the interpreter's lock.
struct MemoryPool {
  // Of at least `bytes` bytes, aligned to 256; 0 where there is no more.
  Address (*allocate)(int ordinal, size_t bytes) = nullptr;
  void (*release)(int ordinal, Address address) = nullptr;
};
// Before the first allocation.
void set_memory_pool(const MemoryPool& pool);

// Keeps what is given back, and gives it out again without waiting for the device where it was
// taken and given back on the stream that takes it now: work that still uses it comes first there.
// Else the device is waited for.
class GpuAllocator final : public Allocator {
 public:
  // The GPU must live as long as the allocator.
  explicit GpuAllocator(OpenGpu& open) : open_(open) {}

  Device device() const override { return {DeviceKind::kCuda, open_.ordinal}; }
  bool on_host() const override { return false; }
  // Throws OutOfMemory where the GPU has less.
  void* allocate(int64_t bytes) override;
  void deallocate(void* data, int64_t bytes) override;
  void* grow(void*, int64_t, int64_t) override { return nullptr; }
  // In the order of the current stream.
  void copy(void* to, const void* from, int64_t bytes) override;

  // Gives what is kept back to the driver, after the device is done with it.
  void trim() override;
  int64_t kept_bytes() const override;

 private:
  struct Kept {
    Address address = 0;
    StreamHandle stream = nullptr;  // on which it was taken
    bool by_others = false;         // given back on another: either may still use it
  };
  Address take_kept(int64_t bytes, StreamHandle stream);
  Address take_new(int64_t bytes);

  OpenGpu& open_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<Kept>> kept_;  // by bytes
  std::map<Address, StreamHandle> taken_;      // and not given back: on which stream
};

}  // namespace cavs::cuda
