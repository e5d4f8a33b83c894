// The kernels along an axis that is not the last one: a thread for each of the lines that stand
// side by side, whose elements it takes in order, as the CPU does.
#pragma once

#include "cuda/kernels/lines.h"

namespace cavs::cuda {
namespace {

// Calls body(x, y) for each line; x(i) and y(i) are its elements.
template <class Body>
__device__ __forceinline__ void for_each_line(const Lines& call, int out_length, Body body) {
  for_each_group(0, call.outer * call.inner, call.rows, [&](const Crew&, int r, int line) {
    const Real* from = row_of<const Real>(call.in[0], r) + start_of(call, line, call.length);
    Real* to = row_of<Real>(call.out, r) + start_of(call, line, out_length);
    const long long step = call.inner;
    body([=](int i) { return from[i * step]; }, [=](int i) -> Real& { return to[i * step]; });
  });
}

template <class Line>
__device__ __forceinline__ Real greatest_in(int n, Line x) {
  Real top = x(0);
#pragma unroll 4
  for (int i = 1; i < n; ++i) top = maximum_(x(i), top);
  return top;
}

// Of the sum of exp(x - shift); among elements of +inf they are counted.
template <class Line>
__device__ __forceinline__ Real share_in(int i, Real top, Real shift, Line x) {
  const Real share = x(i) == infinite() ? Real(1) : Real(0);
  return top == infinite() ? share : exp_(x(i) - shift);
}

template <class Line>
__device__ __forceinline__ Real total_in(int n, Real top, Real shift, Line x) {
  Real total = 0;
#pragma unroll 4
  for (int i = 0; i < n; ++i) total += share_in(i, top, shift, x);
  return total;
}

__device__ __forceinline__ Real shift_of(Real top) { return is_infinite(top) ? Real(0) : top; }

__device__ __forceinline__ void row_max_columns(const Lines& call) {
  const int n = call.length;
  for_each_line(call, 1, [&](auto x, auto y) {
    Real top = x(0);
#pragma unroll 4
    for (int i = 1; i < n; ++i) top = maximum_(top, x(i));
    y(0) = top;
  });
}

__device__ __forceinline__ void logsumexp_columns(const Lines& call) {
  const int n = call.length;
  for_each_line(call, 1, [&](auto x, auto y) {
    const Real top = greatest_in(n, x), shift = shift_of(top);
    Real total = 0;
#pragma unroll 4
    for (int i = 0; i < n; ++i) total += exp_(x(i) - shift);
    y(0) = log_(total) + shift;
  });
}

__device__ __forceinline__ void softmax_columns(const Lines& call) {
  const int n = call.length;
  for_each_line(call, n, [&](auto x, auto y) {
    const Real top = greatest_in(n, x), shift = shift_of(top);
    const Real total = total_in(n, top, shift, x);
    const Real scale = total == 0 ? Real(0) : 1 / total;
#pragma unroll 1
    for (int i = 0; i < n; ++i) y(i) = share_in(i, top, shift, x) * scale;
  });
}

__device__ __forceinline__ void log_softmax_columns(const Lines& call) {
  const int n = call.length;
  for_each_line(call, n, [&](auto x, auto y) {
    const Real top = greatest_in(n, x), shift = shift_of(top);
    const Real total = total_in(n, top, shift, x);
    const Real log_total = log_(total == 0 ? Real(1) : total);
#pragma unroll 1
    for (int i = 0; i < n; ++i) {
      const Real share = x(i) == infinite() ? -log_total : -infinite();
      y(i) = top == infinite() ? share : (x(i) - shift) - log_total;
    }
  });
}

}  // namespace
}  // namespace cavs::cuda
