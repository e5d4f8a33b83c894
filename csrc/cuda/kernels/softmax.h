// Softmax of a group, which its gradients share.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs::cuda {
namespace {

// How many elements are +inf: they share the limit of a softmax.
__device__ __forceinline__ Real count_infinite(const Crew& crew, const Real* x, int n) {
  return total_of(crew, n, [&](int i) { return x[i] == infinite() ? Real(1) : Real(0); });
}

// The sum of exp(x - shift).
__device__ __forceinline__ Real exp_total(const Crew& crew, const Real* x, Real shift, int n) {
  return total_of(crew, n, [&](int i) { return exp_(x[i] - shift); });
}

__device__ __forceinline__ void fill_group(const Crew& crew, Real* y, Real value, int n) {
  for (int i = crew.lane; i < n; i += crew.count) y[i] = value;
}

// y = function(x), also where y stands in the place of x. Several elements are read before the
// first is written, since each takes long to come.
template <class Function>
__device__ __forceinline__ void map_group(const Crew& crew, const Real* x, Real* y, int n,
                                          Function function) {
  constexpr int kAtOnce = 4;
#pragma unroll 1
  for (int begin = crew.lane; begin < n; begin += kAtOnce * crew.count) {
    Real values[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = begin + k * crew.count;
      if (i < n) values[k] = x[i];
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = begin + k * crew.count;
      if (i < n) y[i] = function(values[k]);
    }
  }
}

// y = factor * softmax(x); `top` is the maximum, or another number near it. Computing exp twice
// costs less than writing it down.
__device__ __forceinline__ void softmax_group(const Crew& crew, const Real* x, Real* y, int n,
                                              Real top, Real factor) {
  if (is_infinite(top)) {
    const Real share = factor / maximum_(count_infinite(crew, x, n), Real(1));
    map_group(crew, x, y, n, [&](Real v) { return v == infinite() ? share : Real(0); });
  } else {
    const Real scale = factor / exp_total(crew, x, top, n);
    map_group(crew, x, y, n, [&](Real v) { return exp_(v - top) * scale; });
  }
}

}  // namespace
}  // namespace cavs::cuda
