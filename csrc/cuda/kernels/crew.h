// Threads that take the elements of a group together: one thread for a short group, as many as a
// vector of the CPU has lanes for longer ones, a whole block for the longest. Element i belongs to
// thread i % count. All threads of a crew call its functions together.
//
// Sums have the CPU's order (see log_space.h), so its bits; but those of a block have an order of
// their own, and differ by the rounding of a sum.
#pragma once

#include "cuda/kernels/log_space.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

constexpr int kWarps = kThreads / 32;

struct Crew {
  int lane, count;

  __device__ bool is_block() const { return count == kThreads; }
  // Of lanes that are a part of a warp.
  __device__ unsigned mask() const {
    return ((1u << kLanes) - 1) << (threadIdx.x % 32 / kLanes * kLanes);
  }
  template <class T>
  __device__ T of_lane(T value, int from) const {
    return __shfl_sync(mask(), value, from, kLanes);
  }
  template <class T>
  __device__ T of_other(T value, int distance) const {
    return __shfl_xor_sync(mask(), value, distance, kLanes);
  }
};

// Combines one value of each thread of a block; all threads get the result.
template <class Combine>
__device__ double meet(double value, Combine combine) {
  __shared__ double of_warps[kWarps];
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  __syncthreads();  // what another meeting left there has been read
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = of_warps[0];
  for (int warp = 1; warp < kWarps; ++warp) value = combine(value, of_warps[warp]);
  return value;
}

struct Plus {
  __device__ double operator()(double a, double b) const {
    return static_cast<Real>(a) + static_cast<Real>(b);
  }
};
struct Larger {  // NaN where either is NaN
  __device__ double operator()(double a, double b) const { return maximum_(a, b); }
};
struct Least {
  __device__ double operator()(double a, double b) const { return a < b ? a : b; }
};

// The sum of term(0) .. term(n - 1); each term is asked for once, by the thread that it belongs to.
template <class Term>
__device__ __forceinline__ Real total_of(const Crew& crew, int n, Term term) {
  if (crew.count == 1) return total_of_one(n, kLanes, kParts, term);
  Real sum = 0;
#pragma unroll 4
  for (int i = crew.lane; i < n; i += crew.count) sum += term(i);
  if (crew.is_block()) return static_cast<Real>(meet(sum, Plus()));
  Real part = crew.of_lane(sum, crew.lane % kParts);
#pragma unroll
  for (int i = kParts; i < kLanes; i += kParts) part += crew.of_lane(sum, crew.lane % kParts + i);
#pragma unroll
  for (int distance = kParts / 2; distance > 0; distance /= 2) {
    part += crew.of_other(part, distance);
  }
  return part;
}

// The sum of x[0] .. x[n - 1], of which the CPU adds what is beyond whole vectors at the end.
__device__ __forceinline__ Real row_total(const Crew& crew, const Real* x, int n) {
  const int whole = n - n % kLanes;
  Real total = whole == 0 ? Real(0) : total_of(crew, whole, [&](int i) { return x[i]; });
#pragma unroll 4
  for (int i = whole; i < n; ++i) total += x[i];
  return total;
}

// The CPU's also among zeros of both signs, except a block's.
__device__ __forceinline__ Real maximum_of(const Crew& crew, const Real* x, int n) {
  if (crew.count == 1) {
    Real top = x[0];
    for (int i = 1; i < n; ++i) top = maximum_(x[i], top);
    return top;
  }
  Real top = x[crew.lane];
  for (int i = crew.lane + crew.count; i < n; i += crew.count) top = maximum_(x[i], top);
  if (crew.is_block()) return static_cast<Real>(meet(top, Larger()));
  Real part = crew.of_lane(top, crew.lane % kParts);
#pragma unroll
  for (int i = kParts; i < kLanes; i += kParts) {
    part = maximum_(crew.of_lane(top, crew.lane % kParts + i), part);
  }
#pragma unroll
  for (int distance = 1; distance < kParts; distance *= 2) {
    const Real other = crew.of_other(part, distance);
    part = (crew.lane & distance) == 0 ? maximum_(part, other) : maximum_(other, part);
  }
  return part;
}

// The least number that any thread gives.
__device__ __forceinline__ int least_of(const Crew& crew, int value) {
  if (crew.count == 1) return value;
  if (crew.is_block()) return static_cast<int>(meet(value, Least()));
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    value = min(value, crew.of_other(value, distance));
  }
  return value;
}

// The greatest number that any thread gives; none is NaN.
__device__ __forceinline__ Real greatest_of(const Crew& crew, Real value) {
  if (crew.count == 1) return value;
  if (crew.is_block()) return static_cast<Real>(meet(value, Larger()));
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    value = maximum_(value, crew.of_other(value, distance));
  }
  return value;
}

// Calls body(crew, row, group) for each of `outer` groups of each row. The threads of a block that
// are one crew come to the same groups, so that they can wait for each other.
template <class Body>
__device__ __forceinline__ void for_each_group(int shift, int outer, Rows rows, Body body) {
  const Crew crew = {static_cast<int>(threadIdx.x & ((1u << shift) - 1)), 1 << shift};
  const long long count = static_cast<long long>(rows.end - rows.begin) * outer;
  const long long step = static_cast<long long>(gridDim.x) * (blockDim.x >> shift);
  long long group =
      static_cast<long long>(blockIdx.x) * (blockDim.x >> shift) + (threadIdx.x >> shift);
#pragma unroll 1
  for (; group < count; group += step) {
    const long long row = quotient(group, outer);
    body(crew, rows.begin + static_cast<int>(row), static_cast<int>(group - row * outer));
  }
}

}  // namespace
}  // namespace cavs::cuda
