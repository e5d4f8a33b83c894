// What softmax and its logarithm have in common over the adjacent edges of a vertex.
#pragma once

#include "cuda/kernels/log_space.h"
#include "cuda/kernels/segments.h"

namespace cavs::cuda {
namespace {

// The edges of the vertex whose first is `begin`, a column of them. The thread of the first edge
// takes them all: for others there are none, `end` is `begin`.
struct Siblings {
  int begin, end;
  Real top, shift;  // the maximum, and what is taken off for it
};

__device__ __forceinline__ Real of_sibling(const Segments& call, int edge, int column) {
  return row_of<const Real>(call.in, edge)[column];
}

__device__ __forceinline__ Siblings siblings_from(const Segments& call, int begin, int column) {
  const int* parent = call.table.index;
  Siblings found{begin, begin, 0, 0};
  if (begin > call.rows.begin && parent[begin - 1] == parent[begin]) return found;
  found.end = begin + 1;
  while (found.end < call.rows.end && parent[found.end] == parent[begin]) ++found.end;
  found.top = of_sibling(call, begin, column);
  for (int e = begin + 1; e < found.end; ++e) {
    found.top = maximum_(of_sibling(call, e, column), found.top);
  }
  found.shift = is_infinite(found.top) ? Real(0) : found.top;
  return found;
}

// The exponential of an edge, less the maximum; edges of infinity share evenly.
__device__ __forceinline__ Real term_of(const Segments& call, const Siblings& all, int edge,
                                        int column) {
  const Real value = of_sibling(call, edge, column);
  const Real share = value == infinite() ? Real(1) : Real(0);
  return all.top == infinite() ? share : exp_(value - all.shift);
}

// Numbers that stand side by side are added in the order of a row, as on the CPU.
__device__ __forceinline__ Real total_of(const Segments& call, const Siblings& all, int column) {
  const bool row = call.in.ld == 1 && call.out.ld == 1;
  const auto term = [&](int i) { return term_of(call, all, all.begin + i, column); };
  return total_of_one(all.end - all.begin, row ? kLanes : 1, row ? kParts : 1, term);
}

}  // namespace
}  // namespace cavs::cuda
