// What printed groups are made of (see group_source.h): some adjacent columns of a row, read, added
// and written by one thread.
#pragma once

#include "cuda/kernels/real.h"
#include "cuda/kernels/team.h"

namespace cavs::cuda {

using cavs::Real;

template <int kCount>
struct alignas(kCount * sizeof(Real)) Lanes {
  Real at[kCount];
};

// Whether lanes may be read and written at these addresses. Views of columns and users' arrays may
// begin anywhere.
template <int kCount, class... Pointers>
__device__ __forceinline__ bool are_aligned(const Pointers*... pointers) {
  return (reinterpret_cast<size_t>(pointers) | ...) % sizeof(Lanes<kCount>) == 0;
}

template <int kCount>
__device__ __forceinline__ Lanes<kCount> load_lanes(const Real* from) {
  return *reinterpret_cast<const Lanes<kCount>*>(from);
}

template <int kCount>
__device__ __forceinline__ void store_lanes(Real* to, const Lanes<kCount>& lanes) {
  *reinterpret_cast<Lanes<kCount>*>(to) = lanes;
}

// One number in all columns.
template <int kCount>
__device__ __forceinline__ Lanes<kCount> spread_lanes(Real value) {
  Lanes<kCount> lanes;
#pragma unroll
  for (int i = 0; i < kCount; ++i) lanes.at[i] = value;
  return lanes;
}

// The sum of load(begin) .. load(end - 1), in this order, which begins with the first of them;
// zeros for none.
template <int kCount, class Load>
__device__ __forceinline__ Lanes<kCount> sum_lanes(int begin, int end, const Load& load) {
  if (begin >= end) return spread_lanes<kCount>(0);
  Lanes<kCount> sum = load(begin);
  for (int i = begin + 1; i < end; ++i) {
    const Lanes<kCount> next = load(i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum.at[k] += next.at[k];
  }
  return sum;
}

__device__ __forceinline__ long long row_offset(int row, int ld) {
  return static_cast<long long>(row) * ld;
}

}  // namespace cavs::cuda
