// The greatest elements of the groups of a row.
#pragma once

#include "cuda/kernels/softmax.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ void row_max(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real* x = row_of<const Real>(call.in[0], r) + static_cast<long long>(g) * n;
    const Real top = maximum_of(crew, x, n);
    if (crew.lane == 0) row_of<Real>(call.out, r)[g] = top;
  });
}

// The first i with is(i), or n.
template <class Is>
__device__ __forceinline__ int first_of(const Crew& crew, int n, Is is) {
  int first = n;
  for (int i = crew.lane; i < n && first == n; i += crew.count) {
    if (is(i)) first = i;
  }
  return least_of(crew, first);
}

// 1 at the first of the greatest elements of x, or, among elements of +inf, at the first of those
// with the greatest element of the second operand. No 1 where all elements are -inf or one is NaN.
__device__ __forceinline__ void one_hot_max(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real* x = row_of<const Real>(call.in[0], r) + static_cast<long long>(g) * n;
    const Real* among = row_of<const Real>(call.in[1], r) + static_cast<long long>(g) * n;
    Real* y = row_of<Real>(call.out, r) + static_cast<long long>(g) * n;
    const Real top = maximum_of(crew, x, n);
    int chosen = n;
    if (top > -infinite()) {
      chosen = first_of(crew, n, [&](int i) { return x[i] == top; });
      // A NaN is not less than any other number, and greater than none.
      if (top == infinite() && among[chosen] == among[chosen]) {
        Real most = among[chosen];
        for (int i = crew.lane; i < n; i += crew.count) {
          if (x[i] == top && among[i] > most) most = among[i];
        }
        most = greatest_of(crew, most);
        chosen = first_of(crew, n, [&](int i) { return x[i] == top && among[i] == most; });
      }
    }
    for (int i = crew.lane; i < n; i += crew.count) y[i] = i == chosen ? Real(1) : Real(0);
  });
}

}  // namespace
}  // namespace cavs::cuda
