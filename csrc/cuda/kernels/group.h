// What printed groups are made of (see group_source.h): some adjacent columns of a row, read, added
// and written by one thread.
#pragma once

#include "group/one_lane.h"
// The lane type comes first.
#include "cuda/kernels/team.h"
#include "group/scalar_functions.h"

namespace cavs {
namespace cuda {

using Real = CAVS_REAL;

template <int kCount>
struct alignas(kCount * sizeof(Real)) Lanes {
  Real at[kCount];
};

// Rows of views and of users' arrays may begin anywhere.
template <int kCount>
__device__ __forceinline__ bool in_one_access(const Real* columns) {
  return reinterpret_cast<size_t>(columns) % sizeof(Lanes<kCount>) == 0;
}

template <int kCount>
__device__ __forceinline__ Lanes<kCount> load_lanes(const Real* from) {
  if (in_one_access<kCount>(from)) return *reinterpret_cast<const Lanes<kCount>*>(from);
  Lanes<kCount> lanes;
#pragma unroll
  for (int i = 0; i < kCount; ++i) lanes.at[i] = from[i];
  return lanes;
}

template <int kCount>
__device__ __forceinline__ void store_lanes(Real* to, const Lanes<kCount>& lanes) {
  if (in_one_access<kCount>(to)) {
    *reinterpret_cast<Lanes<kCount>*>(to) = lanes;
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = lanes.at[i];
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

}  // namespace cuda
}  // namespace cavs
