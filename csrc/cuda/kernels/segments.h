// The rows that a table lists, one thread for each column, in the order of the list: the CPU's
// bits.
#pragma once

#include "cuda/kernels/real.h"
#include "cuda/kernels/tiles.h"

namespace cavs {
namespace cuda {
namespace {

// Element `column` of the row that entry i of the table names.
__device__ __forceinline__ Real listed(const Segments& call, int i, int column) {
  const Real* row =
      row_of<const Real>(call.in, call.table.list == nullptr ? i : call.table.list[i]);
  if (call.table.part != nullptr) row += static_cast<long long>(call.table.part[i]) * call.in.size;
  return row[column];
}

template <class Reduce>
__device__ __forceinline__ void for_each_segment(const Segments& call, Reduce reduce) {
  for_each_element(call.tiling, call.rows, [&](int r, int column) {
    row_of<Real>(call.out, r)[column] =
        reduce(call, call.table.ptr[r], call.table.ptr[r + 1], column);
  });
}

}  // namespace
}  // namespace cuda
}  // namespace cavs
