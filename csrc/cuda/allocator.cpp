// Takes memory of a GPU from its driver.
#include "cuda/allocator.h"

#include "cuda/current_stream.h"

namespace cavs::cuda {

void* GpuAllocator::allocate(int64_t bytes) {
  constexpr Result kOutOfMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY
  if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
  open_.gpu.make_current();
  Address address = 0;
  const Result code = driver().cuMemAlloc(&address, static_cast<size_t>(bytes));
  if (code == kOutOfMemory) {
    size_t free = 0, total = 0;
    check(driver().cuMemGetInfo(&free, &total), "the memory of ", open_.gpu.name());
    fail("expected ", bytes, " bytes of memory of ", device_name(device()), ", got ", free,
         " free of ", total, "; use smaller batches or a smaller model, or cavs.release_memory()");
  }
  check(code, bytes, " bytes of memory of ", device_name(device()));
  return reinterpret_cast<void*>(address);
}

void GpuAllocator::deallocate(void* data, int64_t) {
  // Errors are left: at the end of the process the driver may be gone before the objects.
  try {
    open_.gpu.make_current();
    driver().cuCtxSynchronize();
    driver().cuMemFree(reinterpret_cast<Address>(data));
  } catch (const Error&) {
  }
}

void GpuAllocator::copy(void* to, const void* from, int64_t bytes) {
  open_.gpu.make_current();
  current_stream(open_).copy(reinterpret_cast<Address>(to), reinterpret_cast<Address>(from),
                             static_cast<size_t>(bytes));
}

}  // namespace cavs::cuda
