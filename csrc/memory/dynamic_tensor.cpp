#include "memory/dynamic_tensor.h"

#include <algorithm>

#include "base/error.h"

namespace cavs {
namespace {

void check_rows(int64_t count) {
  CAVS_CHECK(count >= 0, ErrorKind::kValue, "[memory] expected 0 or more rows, got ", count,
             "; check the number of rows");
}

}  // namespace

void DynamicTensor::allocate(Arena& arena, int64_t count) {
  check_rows(count);
  DynamicTensor wanted = *this;
  wanted.rows = count;
  wanted.offset = arena.allocate(wanted.bytes());
  *this = wanted;  // unchanged where there is no memory
}

void DynamicTensor::grow(Arena& arena, int64_t count) {
  check_rows(count);
  if (offset < 0) return allocate(arena, count);
  if (count <= rows) return;
  const int64_t old_bytes = bytes(), old_offset = offset;
  DynamicTensor wanted = *this;
  wanted.rows = count;
  if (old_offset + old_bytes == arena.used()) {
    arena.reserve(old_offset + wanted.bytes());
  } else {
    wanted.offset = arena.allocate(wanted.bytes());
    device_allocator(arena.device()).copy(wanted.data(arena), arena.data() + old_offset, old_bytes);
  }
  *this = wanted;  // unchanged where there is no memory
}

}  // namespace cavs
