// Kernels that go along lines of a row one element after the other, a thread or a crew for each
// line: running sums, orders, and elements by their numbers. In the order of the CPU, so its bits.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs::cuda {
namespace {

// The first element of line `line` of a row, in a value with `length` elements a line.
__device__ __forceinline__ long long start_of(const Lines& call, int line, int length) {
  const int group = line / call.inner;
  return static_cast<long long>(group) * length * call.inner + (line - group * call.inner);
}

__device__ __forceinline__ void cumsum(const Lines& call) {
  const bool reverse = call.flag != 0;
  const auto body = [&](const Crew&, int r, int line) {
    const long long first = start_of(call, line, call.length);
    const Real* x = row_of<const Real>(call.in[0], r) + first;
    Real* y = row_of<Real>(call.out, r) + first;
    Real total = 0;
#pragma unroll 1
    for (int i = 0; i < call.length; ++i) {
      const long long at = static_cast<long long>(reverse ? call.length - 1 - i : i) * call.inner;
      total = i == 0 ? x[at] : total + x[at];
      y[at] = total;
    }
  };
  for_each_group(0, call.outer * call.inner, call.rows, body);
}

// Whether element a of a line stands before element b: by their values, of which NaN is the
// greatest, and by their places where the values are equal.
struct Before {
  const Real* x;
  int step, descending;

  __device__ bool operator()(int a, int b) const {
    const Real u = x[static_cast<long long>(a) * step], v = x[static_cast<long long>(b) * step];
    const bool less = u < v || (v != v && u == u), more = v < u || (u != u && v == v);
    return less || more ? (descending != 0 ? more : less) : a < b;
  }
};

// Of the elements that the threads of a crew give, the one before all others; n for none.
template <class First>
__device__ __forceinline__ int first_given(const Crew& crew, int mine, First first) {
  if (crew.count == 1) return mine;
  if (crew.is_block()) {
    return static_cast<int>(meet(mine, [&](double a, double b) -> double {
      return first(static_cast<int>(a), static_cast<int>(b));
    }));
  }
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    mine = first(mine, crew.of_other(mine, distance));
  }
  return mine;
}

// A few places are found one after the other; for many, an element counts those before it.
__device__ __forceinline__ void argsort(const Lines& call) {
  constexpr int kFew = 16;
  const int n = call.length;
  const auto body = [&](const Crew& crew, int r, int line) {
    const Before before = {row_of<const Real>(call.in[0], r) + start_of(call, line, n), call.inner,
                           call.flag};
    int* y = row_of<int>(call.out, r) + start_of(call, line, call.count);
    if (call.count > kFew) {
      for (int i = crew.lane; i < n; i += crew.count) {
        int place = 0;
        for (int k = 0; k < n; ++k) place += before(k, i) ? 1 : 0;
        if (place < call.count) y[static_cast<long long>(place) * call.inner] = i;
      }
      return;
    }
    const auto first = [&](int a, int b) { return a == n ? b : b == n ? a : before(a, b) ? a : b; };
    int last = n;
    for (int k = 0; k < call.count; ++k) {
      int mine = n;
      for (int i = crew.lane; i < n; i += crew.count) {
        if (last == n || before(last, i)) mine = first(mine, i);
      }
      last = first_given(crew, mine, first);
      if (crew.lane == 0) y[static_cast<long long>(k) * call.inner] = last;
    }
  };
  for_each_group(call.shift, call.outer * call.inner, call.rows, body);
}

// Zeros for an id of -1, NaN for one without an element.
__device__ __forceinline__ void pick_elements(const Lines& call) {
  for_each_group(0, call.out.size, call.rows, [&](const Crew&, int r, int place) {
    const int above = place / call.inner, j = place - above * call.inner;
    const int group = above / call.count, k = above - group * call.count;
    const int id = row_of<const int>(call.in[1], r)[call.flag != 0 ? place : k];
    const Real* x = row_of<const Real>(call.in[0], r) +
                    static_cast<long long>(group) * call.length * call.inner + j;
    Real value = id < 0 ? Real(0) : static_cast<Real>(not_a_number());
    if (id >= 0 && id < call.length) value = x[static_cast<long long>(id) * call.inner];
    row_of<Real>(call.out, r)[place] = value;
  });
}

// The adjoint: elements of one number add up, in their order.
__device__ __forceinline__ void put_elements(const Lines& call) {
  const auto body = [&](const Crew&, int r, int line) {
    const long long from = start_of(call, line, call.count);
    const Real* x = row_of<const Real>(call.in[0], r) + from;
    const int* ids = row_of<const int>(call.in[1], r) + (call.flag != 0 ? from : 0);
    Real* y = row_of<Real>(call.out, r) + start_of(call, line, call.length);
    const int step = call.flag != 0 ? call.inner : 1;
    for (int i = 0; i < call.length; ++i) y[static_cast<long long>(i) * call.inner] = 0;
#pragma unroll 1
    for (int k = 0; k < call.count; ++k) {
      const int id = ids[static_cast<long long>(k) * step];
      if (id >= 0 && id < call.length) {
        y[static_cast<long long>(id) * call.inner] += x[static_cast<long long>(k) * call.inner];
      }
    }
  };
  for_each_group(0, call.outer * call.inner, call.rows, body);
}

}  // namespace
}  // namespace cavs::cuda
