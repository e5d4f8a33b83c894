#include "memory/allocator.h"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/error.h"

namespace cavs {
namespace {

constexpr int64_t kHugePage = 2 << 20;

class CpuAllocator final : public Allocator {
 public:
  Device device() const override { return Device::kCpu; }

  // Large blocks ask for huge pages: a batch walks over tens of megabytes, and with small pages the
  // first touch of each and the misses of the translation buffer cost as much as the arithmetic.
  void* allocate(int64_t bytes) override {
    const bool large = bytes >= 2 * kHugePage;
    const int64_t alignment = large ? kHugePage : kAlignment;
    const auto rounded = static_cast<size_t>(align_up(bytes, alignment));
    void* data = std::aligned_alloc(static_cast<size_t>(alignment), rounded);
    if (data == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    // Advice only: where the kernel declines, small pages serve.
    if (large) madvise(data, rounded, MADV_HUGEPAGE);
#endif
    return data;
  }

  void deallocate(void* data, int64_t) override { std::free(data); }

  void copy(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }
};

}  // namespace

Allocator& device_allocator(Device device) {
  static auto* cpu = new CpuAllocator;  // never destroyed: threads may free at the process's end
  CAVS_CHECK(device == Device::kCpu, ErrorKind::kRuntime,
             "[memory] expected a device of this build (cpu), got cuda: CUDA support is not built; "
             "use device='cpu'");
  return *cpu;
}

Block::Block(Allocator& allocator, int64_t bytes)
    : allocator_(allocator),
      bytes_(bytes),
      data_(static_cast<std::byte*>(allocator.allocate(bytes))) {}

Block::~Block() { allocator_.deallocate(data_, bytes_); }

}  // namespace cavs
