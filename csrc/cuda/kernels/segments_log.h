// Kernels in log space over the rows that a table lists.
#pragma once

#include "cuda/kernels/siblings.h"

namespace cavs::cuda {
namespace {

// -inf for none. What is subtracted before exp is the maximum, or 0 where the maximum is infinite:
// exp then reaches the limit by itself.
__device__ __forceinline__ Real logsumexp_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return -infinite();
  const Real first = listed(call, begin, column);
  if (begin + 1 == end) return first;
  Real top = first;
  for (int i = begin + 1; i < end; ++i) top = maximum_(listed(call, i, column), top);
  const Real shift = is_infinite(top) ? Real(0) : top;
  Real total = 0;
#pragma unroll 4
  for (int i = begin; i < end; ++i) total += exp_(listed(call, i, column) - shift);
  return log_(total) + shift;
}

// Softmax over the adjacent edges of a vertex.
__device__ __forceinline__ void softmax_of_siblings(const Segments& call, int begin, int column) {
  const Siblings all = siblings_from(call, begin, column);
  if (all.end == begin) return;
  const Real total = total_of(call, all, column);
  const Real scale = total == 0 ? Real(0) : 1 / total;
#pragma unroll 1
  for (int e = begin; e < all.end; ++e) {
    row_of<Real>(call.out, e)[column] = term_of(call, all, e, column) * scale;
  }
}

__device__ __forceinline__ void logsumexp_segments(const Segments& call) {
  for_each_segment(call, logsumexp_of);
}
__device__ __forceinline__ void softmax_segments(const Segments& call) {
  for_each_element(call.tiling, call.rows,
                   [&](int edge, int column) { softmax_of_siblings(call, edge, column); });
}

}  // namespace
}  // namespace cavs::cuda
