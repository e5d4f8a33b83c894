// What kernels in log space and sums along a row share. -inf stands for an impossible element, and
// results for infinite elements are their limits: see cpu/kernels/log_space.inl.h.
//
// The CPU adds the elements of a row in lanes of a vector of 64 bytes, and then the lanes in parts
// of 16 bytes. The same order gives the same bits here (where the CPU has AVX-512).
#pragma once

#include "cuda/kernels/real.h"

namespace cavs::cuda {
namespace {

constexpr int kLanes = 64 / sizeof(Real), kParts = 16 / sizeof(Real);

__device__ __forceinline__ Real infinite() { return static_cast<Real>(infinity()); }
__device__ __forceinline__ bool is_infinite(Real x) { return x == infinite() || x == -infinite(); }

// term(0) + .. + term(n - 1) by one thread, in the order of that many lanes and parts. (p0 + p2) +
// (p1 + p3), or p0 + p1.
template <class Term>
__device__ __forceinline__ Real total_of_one(int n, int lanes, int parts, Term term) {
  Real even = 0, odd = 0;
#pragma unroll 1
  for (int part = 0; part < parts; ++part) {
    Real of_part = 0;
#pragma unroll 1
    for (int lane = part; lane < lanes && lane < n; lane += parts) {
      Real of_lane = 0;
#pragma unroll 4
      for (int i = lane; i < n; i += lanes) of_lane += term(i);
      of_part += of_lane;
    }
    (part % 2 == 0 ? even : odd) += of_part;
  }
  return even + odd;
}

}  // namespace
}  // namespace cavs::cuda
