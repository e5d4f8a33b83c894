// Where memory comes from: each device has an allocator, and so has the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/device.h"

namespace cavs {

// Every allocation and every planned offset is a multiple of this. As many bytes stand free after
// the last byte in use, because a kernel may read one full vector past the last element.
constexpr int64_t kAlignment = 64;

inline int64_t align_up(int64_t bytes, int64_t alignment = kAlignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// More than any machine has. Sums of byte counts up to this do not overflow.
constexpr int64_t kMostBytes = int64_t{1} << 48;

// The bytes of `rows` rows of `size` elements. Throws OutOfMemory above kMostBytes.
int64_t checked_bytes(int64_t rows, int64_t size, int64_t item_bytes);

class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual Device device() const = 0;
  // Whether the host may read and write the memory.
  virtual bool on_host() const = 0;
  // `bytes` > 0 bytes, aligned to kAlignment, not initialised. Throws OutOfMemory.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void deallocate(void* data, int64_t bytes) = 0;
  // Grows an allocation of `from` bytes to `to` >= `from` bytes with its contents, without a second
  // allocation beside it. Returns null and changes nothing where it cannot.
  virtual void* grow(void* data, int64_t from, int64_t to) = 0;
  // Gives back what is kept for later allocations, and says how much that is.
  virtual void trim() {}
  virtual int64_t kept_bytes() const { return 0; }
  // Copies between two blocks of this device.
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;
};

// The allocator of the process's memory; it lives as long as the process.
Allocator& host_allocator();

// One allocation; freed with its last owner.
class Block {
 public:
  Block(Allocator& allocator, int64_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Grows to `bytes`, at least as many as before, and returns whether it could. The block may then
  // stand elsewhere.
  bool grow(int64_t bytes);

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Allocator& allocator_;
  int64_t bytes_;
  std::byte* data_;
};

}  // namespace cavs
