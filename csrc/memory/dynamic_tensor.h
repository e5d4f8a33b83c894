// A value of the program at run time: fixed feature shape, as many rows as the batch gives it.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "memory/allocator.h"

namespace cavs {

// Elements between the starts of two rows: rows of 16 elements or more begin at a multiple of 16,
// so that kernels use whole vectors and need no tail; shorter rows stand densely.
inline int64_t row_stride(int64_t size) { return size < 16 ? size : align_up(size, 16); }

// The form of a value: rows of `size` elements, and their number.
struct DynamicTensor {
  int64_t size = 0;
  DType dtype = DType::kFloat32;
  int64_t ld = 0;  // 0: a single dense "row" (no batch dimension)
  int64_t rows = 0;

  DynamicTensor() = default;
  DynamicTensor(int64_t feature_size, DType element)
      : size(feature_size), dtype(element), ld(row_stride(feature_size)) {}

  // Throws OutOfMemory where no machine has so many bytes.
  int64_t bytes() const {
    return checked_bytes(ld == 0 ? 1 : rows, ld == 0 ? size : ld, item_size(dtype));
  }
};

}  // namespace cavs
