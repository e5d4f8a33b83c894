// Takes memory of a GPU from its driver or from another library's pool, and keeps it.
#include "cuda/driver/allocator.h"

#include <algorithm>

#include "base/error.h"
#include "base/everlasting.h"
#include "cuda/driver/current_stream.h"

namespace cavs::cuda {
namespace {

// Few sizes, so that what one call gave back fits the next: sixteen to each power of two.
int64_t rounded(int64_t bytes) {
  int64_t step = 256;
  while (step * 32 <= bytes) step *= 2;
  return align_up(bytes, step);
}

}  // namespace

void set_memory_pool(const MemoryPool& pool) { everlasting<MemoryPool>() = pool; }

Address GpuAllocator::take_kept(int64_t bytes, StreamHandle stream) {
  Kept found;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    const auto at = kept_.find(bytes);
    if (at == kept_.end() || at->second.empty()) return 0;
    // The lowest address: calls that take the same memory in any order get the same addresses each
    // time, by which their graphs are known.
    const auto lowest =
        std::min_element(at->second.begin(), at->second.end(),
                         [](const Kept& a, const Kept& b) { return a.address < b.address; });
    found = *lowest;
    *lowest = at->second.back();
    at->second.pop_back();
  }
  if (found.by_others || !same_stream(found.stream, stream)) open_.synchronize();
  return found.address;
}

Address GpuAllocator::take_new(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  if (everlasting<MemoryPool>().allocate != nullptr)
    return everlasting<MemoryPool>().allocate(open_.ordinal, size);
  Address address = 0;
  const Result code = driver().cuMemAlloc(&address, size);
  if (code == kNoMemory) return 0;
  check(code, bytes, " bytes of memory of ", device_name(device()));
  return address;
}

void* GpuAllocator::allocate(int64_t bytes) {
  if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
  const CurrentGpu current(open_.ordinal);
  const int64_t size = rounded(bytes);
  const StreamHandle stream = current_stream(open_).handle();
  Address address = take_kept(size, stream);
  if (address == 0) address = take_new(size);
  if (address == 0) {
    spare_memory();
    trim();
    address = take_new(size);
  }
  if (address == 0) {
    size_t free = 0, total = 0;
    check(driver().cuMemGetInfo(&free, &total), "the memory of ", device_name(device()));
    throw OutOfMemory(static_cast<uint64_t>(bytes), device_name(device()), free, total);
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  taken_[address] = stream;
  return reinterpret_cast<void*>(address);
}

void GpuAllocator::deallocate(void* data, int64_t bytes) {
  const auto address = reinterpret_cast<Address>(data);
  const StreamHandle stream = current_stream(open_).handle();
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto taken = taken_.find(address);
  kept_[rounded(bytes)].push_back({address, taken->second, !same_stream(taken->second, stream)});
  taken_.erase(taken);
}

void GpuAllocator::trim() {
  const CurrentGpu current(open_.ordinal);
  // Without the lock: a pool may run code of Python, which waits for the interpreter, and in which
  // arrays may end.
  std::map<int64_t, std::vector<Kept>> given;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    given.swap(kept_);
  }
  open_.synchronize();
  for (const auto& [bytes, blocks] : given) {
    for (const Kept& kept : blocks) {
      if (everlasting<MemoryPool>().release != nullptr) {
        everlasting<MemoryPool>().release(open_.ordinal, kept.address);
      } else {
        driver().cuMemFree(kept.address);
      }
    }
  }
}

int64_t GpuAllocator::kept_bytes() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  int64_t all = 0;
  for (const auto& [bytes, blocks] : kept_) all += bytes * static_cast<int64_t>(blocks.size());
  return all;
}

void GpuAllocator::copy(void* to, const void* from, int64_t bytes) {
  const CurrentGpu current(open_.ordinal);
  current_stream(open_).copy(reinterpret_cast<Address>(to), reinterpret_cast<Address>(from),
                             static_cast<size_t>(bytes));
}

}  // namespace cavs::cuda
