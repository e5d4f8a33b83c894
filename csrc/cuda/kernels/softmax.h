// Softmax of a group, which its gradients share.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs {
namespace cuda {
namespace {

// How many elements are +inf: they share the limit of a softmax.
__device__ __forceinline__ Real count_infinite(const Crew& crew, const Real* x, int n) {
  return total_of(crew, n, [&](int i) { return x[i] == infinite() ? Real(1) : Real(0); });
}

// The sum of exp(x - shift).
__device__ __forceinline__ Real exp_total(const Crew& crew, const Real* x, Real shift, int n) {
  return total_of(crew, n, [&](int i) { return exp_(x[i] - shift); });
}

// Calls put(i) for the elements of this thread.
template <class Put>
__device__ __forceinline__ void for_own(const Crew& crew, int n, Put put) {
#pragma unroll 1
  for (int i = crew.lane; i < n; i += crew.count) put(i);
}

__device__ __forceinline__ void fill_group(const Crew& crew, Real* y, Real value, int n) {
  for_own(crew, n, [&](int i) { y[i] = value; });
}

// y = factor * softmax(x); `top` is the maximum, or another number near it.
__device__ __forceinline__ void softmax_group(const Crew& crew, const Real* x, Real* y, int n,
                                              Real top, Real factor) {
  if (is_infinite(top)) {
    const Real share = factor / maximum_(count_infinite(crew, x, n), Real(1));
    for_own(crew, n, [&](int i) { y[i] = x[i] == infinite() ? share : Real(0); });
    return;
  }
  const Real total = total_of(crew, n, [&](int i) { return y[i] = exp_(x[i] - top); });
  const Real scale = factor / total;
  for_own(crew, n, [&](int i) { y[i] *= scale; });
}

}  // namespace
}  // namespace cuda
}  // namespace cavs
