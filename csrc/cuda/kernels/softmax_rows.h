// logsumexp, softmax and their kin along the groups of a row.
#pragma once

#include "cuda/kernels/softmax.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ void softmax(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real* x = row_of<const Real>(call.in[0], r) + static_cast<long long>(g) * n;
    Real* y = row_of<Real>(call.out, r) + static_cast<long long>(g) * n;
    softmax_group(crew, x, y, n, maximum_of(crew, x, n), 1);
  });
}

__device__ __forceinline__ void log_softmax(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real* x = row_of<const Real>(call.in[0], r) + static_cast<long long>(g) * n;
    Real* y = row_of<Real>(call.out, r) + static_cast<long long>(g) * n;
    const Real top = maximum_of(crew, x, n);
    if (is_infinite(top)) {
      const Real share = -log_(count_infinite(crew, x, n));
      map_group(crew, x, y, n, [&](Real v) { return v == infinite() ? share : -infinite(); });
    } else {
      const Real log_total = log_(exp_total(crew, x, top, n));
      map_group(crew, x, y, n, [&](Real v) { return (v - top) - log_total; });
    }
  });
}

__device__ __forceinline__ void logsumexp(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real* x = row_of<const Real>(call.in[0], r) + static_cast<long long>(g) * n;
    const Real top = maximum_of(crew, x, n);
    const Real total = is_infinite(top) ? Real(1) : exp_total(crew, x, top, n);
    if (crew.lane == 0) row_of<Real>(call.out, r)[g] = log_(total) + top;
  });
}

// The cotangent times the softmax, for each group. An infinite result has no gradient. The result
// serves in place of the maximum.
__device__ __forceinline__ void logsumexp_grad(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, call.outer, call.rows, [&](const Crew& crew, int r, int g) {
    const Real dy = row_of<const Real>(call.in[0], r)[g], y = row_of<const Real>(call.in[1], r)[g];
    const Real* x = row_of<const Real>(call.in[2], r) + static_cast<long long>(g) * n;
    Real* dx = row_of<Real>(call.out, r) + static_cast<long long>(g) * n;
    if (is_infinite(y)) {
      fill_group(crew, dx, 0, n);
    } else {
      softmax_group(crew, x, dx, n, y, dy);
    }
  });
}

}  // namespace
}  // namespace cavs::cuda
