// log softmax over the adjacent edges of a vertex.
#pragma once

#include "cuda/kernels/log_space.h"
#include "cuda/kernels/segments.h"

namespace cavs::cuda {
namespace {

// The thread of the first edge takes them all, as that of a softmax does.
__device__ __forceinline__ void log_softmax_of_siblings(const Segments& call, int begin,
                                                        int column) {
  const int* parent = call.table.index;
  if (begin > call.rows.begin && parent[begin - 1] == parent[begin]) return;
  int end = begin + 1;
  while (end < call.rows.end && parent[end] == parent[begin]) ++end;
  const auto x = [&](int e) { return row_of<const Real>(call.in, e)[column]; };
  Real top = x(begin);
  for (int e = begin + 1; e < end; ++e) top = maximum_(x(e), top);
  const Real shift = is_infinite(top) ? Real(0) : top;
  const auto term = [&](int i) {
    const Real value = x(begin + i);
    const Real share = value == infinite() ? Real(1) : Real(0);
    return top == infinite() ? share : exp_(value - shift);
  };
  // Numbers that stand side by side are added in the order of a row, as on the CPU.
  const bool row = call.in.ld == 1 && call.out.ld == 1;
  const Real total = total_of_one(end - begin, row ? kLanes : 1, row ? kParts : 1, term);
  const Real log_total = log_(total == 0 ? Real(1) : total);
#pragma unroll 1
  for (int e = begin; e < end; ++e) {
    const Real share = x(e) == infinite() ? -log_total : -infinite();
    const Real value = top == infinite() ? share : (x(e) - shift) - log_total;
    row_of<Real>(call.out, e)[column] = value;
  }
}

__device__ __forceinline__ void log_softmax_segments(const Segments& call) {
  for_each_element(call.tiling, call.rows,
                   [&](int edge, int column) { log_softmax_of_siblings(call, edge, column); });
}

}  // namespace
}  // namespace cavs::cuda
