// log softmax over the adjacent edges of a vertex.
#pragma once

#include "cuda/kernels/siblings.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ void log_softmax_of_siblings(const Segments& call, int begin,
                                                        int column) {
  const Siblings all = siblings_from(call, begin, column);
  if (all.end == begin) return;
  const Real total = total_of(call, all, column);
  const Real log_total = log_(total == 0 ? Real(1) : total);
#pragma unroll 1
  for (int e = begin; e < all.end; ++e) {
    const Real x = of_sibling(call, e, column);
    const Real share = x == infinite() ? -log_total : -infinite();
    const Real value = all.top == infinite() ? share : (x - all.shift) - log_total;
    row_of<Real>(call.out, e)[column] = value;
  }
}

__device__ __forceinline__ void log_softmax_segments(const Segments& call) {
  for_each_element(call.tiling, call.rows,
                   [&](int edge, int column) { log_softmax_of_siblings(call, edge, column); });
}

}  // namespace
}  // namespace cavs::cuda
