// How threads share the elements of rows.
#pragma once

#include "cuda/kernels/row_calls.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ long long quotient(long long number, int divisor) {
  if (divisor == 1) return number;
  if (number >> 32 != 0) return number / divisor;
  return static_cast<unsigned>(number) / static_cast<unsigned>(divisor);  // which is quick
}

// Calls body(row, column) for each column of each row, columns fastest. Divides once a block of
// elements.
template <class Body>
__device__ __forceinline__ void for_each_element(const Tiling& tiling, Rows rows, Body body) {
  const int lane = threadIdx.x & ((1 << tiling.shift) - 1), line = threadIdx.x >> tiling.shift;
  const int lines = blockDim.x >> tiling.shift;
  const int down = (rows.end - rows.begin + lines - 1) / lines;
  const long long tiles = static_cast<long long>(down) * tiling.across;
#pragma unroll 1
  for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int above = static_cast<int>(quotient(tile, tiling.across));
    const int beside = static_cast<int>(tile - static_cast<long long>(above) * tiling.across);
    const int row = rows.begin + above * lines + line;
    const int column = (beside << tiling.shift) + lane;
    if (row < rows.end && column < tiling.columns) body(row, column);
  }
}

template <class T>
__device__ __forceinline__ T* row_of(const Operand& operand, long long row) {
  return static_cast<T*>(operand.data) + row * operand.ld;
}

}  // namespace
}  // namespace cavs::cuda
