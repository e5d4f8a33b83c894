// Memory of the process, large blocks in huge pages.
#include "memory/allocator.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/error.h"

namespace cavs {
namespace {

#if defined(__linux__)

// Large blocks consist of whole huge pages of the system. A batch walks over tens of megabytes.
// With small pages, the first touch of each page and the misses of the translation buffer cost as
// much as the arithmetic.
constexpr int64_t kHugePage = 2 << 20;

bool is_large(int64_t bytes) { return bytes >= 2 * kHugePage; }

size_t whole_pages(int64_t bytes) { return static_cast<size_t>(align_up(bytes, kHugePage)); }

// Maps `bytes`, a multiple of kHugePage, from the start of a huge page on. Null where the system
// refuses.
void* map_pages(size_t bytes, int access = PROT_READ | PROT_WRITE) {
  const size_t padded = bytes + kHugePage;
  void* mapped = mmap(nullptr, padded, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapped);
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(begin));
  const auto before = static_cast<size_t>(align_up(address, kHugePage) - address);
  if (before > 0) munmap(begin, before);
  munmap(begin + before + bytes, padded - before - bytes);
  // Advice only: where the kernel declines, small pages serve.
  madvise(begin + before, bytes, MADV_HUGEPAGE);
  return begin + before;
}

// Moves the pages to new addresses without new memory for them. Returns null and changes nothing
// where the kernel declines.
void* move_pages(void* data, size_t from, size_t to) {
  void* const place = map_pages(to, PROT_NONE);
  if (place == nullptr) return nullptr;
  void* const moved = mremap(data, from, to, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  if (moved != MAP_FAILED) return moved;
  munmap(place, to);
  return nullptr;
}

#endif

class HostAllocator final : public Allocator {
 public:
  Device device() const override { return {}; }
  bool on_host() const override { return true; }

  void* allocate(int64_t bytes) override {
    if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
#if defined(__linux__)
    void* data = is_large(bytes) ? map_pages(whole_pages(bytes)) : allocate_small(bytes);
#else
    void* data = allocate_small(bytes);
#endif
    if (data == nullptr) throw OutOfMemory(static_cast<uint64_t>(bytes));
    return data;
  }

  void deallocate(void* data, int64_t bytes) override {
#if defined(__linux__)
    if (is_large(bytes)) {
      munmap(data, whole_pages(bytes));
      return;
    }
#endif
    std::free(data);
  }

  void* grow(void* data, int64_t from, int64_t to) override {
#if defined(__linux__)
    if (!is_large(from)) return nullptr;
    if (whole_pages(from) == whole_pages(to)) return data;
    return move_pages(data, whole_pages(from), whole_pages(to));
#else
    return nullptr;
#endif
  }

  void copy(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }

 private:
  static void* allocate_small(int64_t bytes) {
    return std::aligned_alloc(kAlignment, static_cast<size_t>(align_up(bytes)));
  }
};

}  // namespace

int64_t checked_bytes(int64_t rows, int64_t size, int64_t item_bytes) {
  int64_t elements = 0, bytes = 0;
  if (__builtin_mul_overflow(rows, size, &elements) ||
      __builtin_mul_overflow(elements, item_bytes, &bytes)) {
    throw OutOfMemory(static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  }
  if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
  return bytes;
}

Allocator& host_allocator() {
  static auto* host = new HostAllocator;  // never destroyed: threads may free at the process's end
  return *host;
}

Block::Block(Allocator& allocator, int64_t bytes)
    : allocator_(allocator),
      bytes_(bytes),
      data_(static_cast<std::byte*>(allocator.allocate(bytes))) {}

bool Block::grow(int64_t bytes) {
  void* const data = allocator_.grow(data_, bytes_, bytes);
  if (data == nullptr) return false;
  data_ = static_cast<std::byte*>(data);
  bytes_ = bytes;
  return true;
}

Block::~Block() { allocator_.deallocate(data_, bytes_); }

}  // namespace cavs
