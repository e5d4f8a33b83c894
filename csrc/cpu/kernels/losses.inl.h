// The greatest element of a row as a choice, and losses of labels.
#pragma once

#include "cpu/kernels/log_space.inl.h"

namespace cavs {
namespace {

// 1 at the first of the greatest elements of x, or, among elements of +inf, at the one with the
// greatest element of the second operand. No 1 where all elements are -inf or one is NaN.
template <class T>
void one_hot_max(const KernelCall& call) {
  const auto [outer, n, inner] = attributes_of<AxisAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    const T* among = row_of<T>(call.in[1], r);
    T* y = row_of<T>(call.out[0], r);
    fill_row(y, T(0), outer * n);
    for (int64_t g = 0; g < outer; ++g, x += n, among += n, y += n) {
      const T top = row_maximum(x, n);
      if (!(top > -kInfinite<T>)) continue;
      int64_t chosen = 0;
      while (x[chosen] != top) ++chosen;
      if (top == kInfinite<T>) {
        for (int64_t i = chosen + 1; i < n; ++i)
          if (x[i] == top && among[i] > among[chosen]) chosen = i;
      }
      y[chosen] = 1;
    }
  }
}

// A label without a class gives NaN. The caller has checked the labels, and nothing outside the row
// is read.
template <class T>
void cross_entropy(const KernelCall& call) {
  const int64_t n = call.in[0].size;
  Logarithms<T> logs;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    const int64_t label = *row_of<int32_t>(call.in[1], r);
    T* loss = row_of<T>(call.out[0], r);
    if (label < 0 || label >= n) {
      *loss = label < 0 ? T(0) : static_cast<T>(__builtin_nan(""));
      continue;
    }
    const T top = row_maximum(x, n);
    if (is_infinite(top)) {
      const bool certain = x[label] == kInfinite<T>;
      logs.add(loss, certain ? count_infinite(x, n) : T(1), certain ? T(0) : kInfinite<T>);
    } else {
      logs.add(loss, exp_total<T>(x, top, nullptr, n), top - x[label]);
    }
  }
  logs.finish();
}

// An impossible label, whose loss is infinite, gives no gradient.
template <class T>
void cross_entropy_grad(const KernelCall& call) {
  const int64_t n = call.in[1].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T dloss = *row_of<T>(call.in[0], r);
    const int64_t label = *row_of<int32_t>(call.in[2], r);
    T* y = row_of<T>(call.out[0], r);
    if (label < 0) {
      fill_row(y, T(0), n);
      continue;
    }
    if (label >= n) {
      fill_row(y, static_cast<T>(__builtin_nan("")), n);
      continue;
    }
    const T* x = row_of<T>(call.in[1], r);
    const T top = row_maximum(x, n);
    const bool impossible =
        is_infinite(top) ? x[label] < kInfinite<T> : x[label] - top == -kInfinite<T>;
    if (impossible) {
      fill_row(y, T(0), n);
    } else {
      softmax_row(x, y, n, top, dloss);
      y[label] -= dloss;
    }
  }
}

}  // namespace
}  // namespace cavs
