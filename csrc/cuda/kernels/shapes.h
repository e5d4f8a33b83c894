// "broadcast" and its adjoint "sum_to" on the feature shape of each row, and sums along it.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs::cuda {
namespace {

// Where the element at this place of the dims stands in the other shape. Unrolled, so that the
// dims are read as arguments and not copied.
__device__ __forceinline__ int offset_of(const Dimensions& dims, int place) {
  int offset = 0;
#pragma unroll
  for (int i = kDims - 1; i > 0; --i) {
    if (i >= dims.rank) continue;
    const int above = static_cast<unsigned>(place) / static_cast<unsigned>(dims.sizes[i]);
    offset += (place - above * dims.sizes[i]) * dims.steps[i];
    place = above;
  }
  return offset + place * dims.steps[0];
}

__device__ __forceinline__ void broadcast(const Shapes& call) {
  for_each_element(call.tiling, call.rows, [&](int r, int column) {
    row_of<Real>(call.out, r)[column] =
        row_of<const Real>(call.in, r)[offset_of(call.kept, column)];
  });
}

__device__ __forceinline__ void sum_to(const Shapes& call) {
  const auto sum = [&](const Crew& crew, int r, int place) {
    const Real* x = row_of<const Real>(call.in, r) + offset_of(call.kept, place);
    Real total = 0;
    if (call.inner == 1 && call.repeated.rank <= 1) {  // the sum of columns, say
      const long long step = call.repeated.steps[0];
#pragma unroll 8
      for (int i = 0; i < call.terms; ++i) total += x[i * step];
    } else {
#pragma unroll 1
      for (int i = 0; i < call.terms; ++i) {
        total += row_total(crew, x + offset_of(call.repeated, i), call.inner);
      }
    }
    if (crew.lane == 0) row_of<Real>(call.out, r)[place] = total;
  };
  for_each_group(call.shift, call.out.size, call.rows, sum);
}

}  // namespace
}  // namespace cavs::cuda
