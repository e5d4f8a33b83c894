// Kernels in log space over the rows that a table lists.
#pragma once

#include "cuda/kernels/log_space.h"
#include "cuda/kernels/segments.h"

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

// Softmax over the adjacent edges of a vertex. The thread of the first edge takes them all.
__device__ __forceinline__ void softmax_of_siblings(const Segments& call, int begin, int column) {
  const int* parent = call.table.index;
  if (begin > call.rows.begin && parent[begin - 1] == parent[begin]) return;
  int end = begin + 1;
  while (end < call.rows.end && parent[end] == parent[begin]) ++end;
  const auto x = [&](int e) { return row_of<const Real>(call.in, e)[column]; };
  const auto y = [&](int e) -> Real& { return row_of<Real>(call.out, e)[column]; };
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
  const Real scale = total == 0 ? Real(0) : 1 / total;
#pragma unroll 1
  for (int e = begin; e < end; ++e) y(e) = term(e - begin) * scale;
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
