// Rows of a device's arrays, added up or compared by number.
#pragma once

#include "base/dtype.h"
#include "cuda/driver/gpus.h"

namespace cavs::cuda {

enum class Reduction : uint8_t { kSum, kMax };

// Arrays of a device, C-contiguous: out and rows of `dtype` with `width` elements a row, order and
// starts of int32.
struct RowLists {
  DType dtype = DType::kFloat32;
  Address out = 0;     // (segments, width)
  Address rows = 0;    // (n, width)
  Address order = 0;   // (n,)
  Address starts = 0;  // (segments + 1,), from 0 to n
  int segments = 0, width = 0;
};

// For each segment s, out[s] += rows[order[k]], one after the other for k from starts[s] on, or the
// maximum in place of the sum. On the stream; the GPU is current.
void reduce_rows(OpenGpu& open, const Stream& stream, Reduction reduction, const RowLists& lists);

}  // namespace cavs::cuda
