// Where the values of a sweep stand, as addresses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/backend.h"

namespace cavs {

// Row r begins at data + r * ld elements; see Operand in cpu/kernel.h for `padded`.
struct ValueRows {
  std::byte* data = nullptr;
  int64_t ld = 0;
  int64_t size = 0;
  bool padded = false;
};

// Elements from row to row of a value in a layout.
int64_t ld_of(const Executable& exe, const Layout& layout, int id);

// The rows of a value that the backend does not keep elsewhere.
ValueRows rows_of(const Sweep& sweep, int id);

// Only the form, without an address, for a value that the backend keeps elsewhere.
ValueRows form_of(const Executable& exe, int id);

// The caller's array that a value stands for.
const ExternalArray& external_of(const Sweep& sweep, int id);

}  // namespace cavs
