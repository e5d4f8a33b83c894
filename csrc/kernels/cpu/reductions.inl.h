// Kernels that reduce: over the rows of a segment, over columns, over all rows; softmax and its
// kin.
#pragma once

#include "kernels/cpu/scalar_math.inl.h"

namespace cavs {
namespace {

template <class T>
CAVS_INLINE T larger(T a, T b) {  // NaN where either is NaN
  return a > b || a != a ? a : b;
}

template <class T>
T row_maximum(const T* x, int64_t n) {
  int64_t i = 0;
  T result = x[0];
  if (n >= kLanes<T>) {
    Vec<T> lanes = load_vector(x);
    for (i = kLanes<T>; i + kLanes<T> <= n; i += kLanes<T>)
      lanes = maximum_(lanes, load_vector(x + i));
    for (int64_t j = 0; j < kLanes<T>; ++j) result = larger(result, T(lanes[j]));
  }
  for (; i < n; ++i) result = larger(result, x[i]);
  return result;
}

template <class T>
T row_total(const T* x, int64_t n) {
  Vec<T> lanes = {};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) lanes += load_vector(x + i);
  T result = sum_lanes<T>(lanes);
  for (; i < n; ++i) result += x[i];
  return result;
}

template <class T>
CAVS_INLINE T exp_scalar(T x) {
  return exp_(splat(x))[0];
}

template <class T>
CAVS_INLINE T log_scalar(T x) {
  return log_(splat(x))[0];
}

// Sum of exp(x - shift); the terms go to `terms` where it is not null.
template <class T>
T exp_total(const T* x, T shift, T* terms, int64_t n) {
  Vec<T> lanes = {};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> term = exp_(load_vector(x + i) - shift);
    if (terms != nullptr) store_vector(terms + i, term);
    lanes += term;
  }
  T result = sum_lanes<T>(lanes);
  for (; i < n; ++i) {
    const T term = exp_scalar(x[i] - shift);
    if (terms != nullptr) terms[i] = term;
    result += term;
  }
  return result;
}

template <class T>
void multiply_row(T* x, T factor, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_vector<T>(x + i, load_vector(x + i) * factor);
  for (; i < n; ++i) x[i] *= factor;
}

template <class T>
void segment_sum(const KernelCall& call) {
  const IndexTable& table = *table_of(call, 0);
  const int64_t n = call.out[0].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const int64_t ahead = r + kRowsAhead;
    if (ahead < call.row_end) prefetch_rows<T>(call.in[0], table, ahead, ahead + 1, 0, n);
    sum_segment(row_of<T>(call.out[0], r), call.in[0], table, r, 0, n);
  }
}

template <class T>
void segment_max(const KernelCall& call) {
  const IndexTable& table = *table_of(call, 0);
  const int64_t n = call.out[0].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    T* target = row_of<T>(call.out[0], r);
    const int64_t begin = table.ptr[r], end = table.ptr[r + 1];
    copy_or_zero(target, begin == end ? nullptr : segment_row<T>(call.in[0], table, begin), n);
    for (int64_t i = begin + 1; i < end; ++i) {
      const T* source = segment_row<T>(call.in[0], table, i);
      for (int64_t j = 0; j < n; ++j) target[j] = larger(target[j], source[j]);
    }
  }
}

// Calls body(x, y, length) for each of the `outer` groups of each row, y having `step` elements a
// group.
template <class T, class Body>
void for_each_group(const KernelCall& call, bool reduces, Body body) {
  const int64_t outer = call.ints[0], length = call.ints[1];
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    for (int64_t g = 0; g < outer; ++g)
      body(x + g * length, y + (reduces ? g : g * length), length);
  }
}

template <class T>
void row_sum(const KernelCall& call) {
  for_each_group<T>(call, true, [](const T* x, T* y, int64_t n) { *y = row_total(x, n); });
}

template <class T>
void row_max(const KernelCall& call) {
  for_each_group<T>(call, true,
                    [](const T* x, T* y, int64_t n) { *y = n == 0 ? T(0) : row_maximum(x, n); });
}

template <class T>
void softmax_row(const T* x, T* y, int64_t n) {
  if (n == 0) return;
  const T total = exp_total(x, row_maximum(x, n), y, n);
  multiply_row(y, 1 / total, n);
}

template <class T>
void softmax(const KernelCall& call) {
  for_each_group<T>(call, false, [](const T* x, T* y, int64_t n) { softmax_row(x, y, n); });
}

template <class T>
void log_softmax(const KernelCall& call) {
  for_each_group<T>(call, false, [](const T* x, T* y, int64_t n) {
    if (n == 0) return;
    const T greatest_x = row_maximum(x, n);
    const T log_total = log_scalar(exp_total<T>(x, greatest_x, nullptr, n));
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - greatest_x) - log_total;
  });
}

// Labels that no class belongs to give NaN: the caller has checked them, and nothing outside is
// read.
template <class T>
void cross_entropy(const KernelCall& call) {
  const int64_t n = call.in[0].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    const int64_t label = *row_of<int32_t>(call.in[1], r);
    T* loss = row_of<T>(call.out[0], r);
    if (label < 0) {
      *loss = 0;
    } else if (label >= n) {
      *loss = static_cast<T>(__builtin_nan(""));
    } else {
      const T greatest_x = row_maximum(x, n);
      *loss = log_scalar(exp_total<T>(x, greatest_x, nullptr, n)) - (x[label] - greatest_x);
    }
  }
}

template <class T>
void cross_entropy_grad(const KernelCall& call) {
  const int64_t n = call.in[1].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T dloss = *row_of<T>(call.in[0], r);
    const int64_t label = *row_of<int32_t>(call.in[2], r);
    T* y = row_of<T>(call.out[0], r);
    if (label < 0) {
      fill_row(y, T(0), n);
    } else if (label >= n) {
      fill_row(y, static_cast<T>(__builtin_nan("")), n);
    } else {
      softmax_row(row_of<T>(call.in[1], r), y, n);
      y[label] -= 1;
      multiply_row(y, dloss, n);
    }
  }
}

// Columns [begin, end) of n that thread `thread` takes; the borders are multiples of a cache line.
CAVS_INLINE void split_columns(int64_t n, int thread, int num_threads, int64_t* begin,
                               int64_t* end) {
  constexpr int64_t unit = 16;
  const int64_t units = (n + unit - 1) / unit;
  *begin = least(n, units * thread / num_threads * unit);
  *end = least(n, units * (thread + 1) / num_threads * unit);
}

// Sums blocks of rows first: the error then grows with the number of blocks, not of rows.
// A second operand is the output itself: the sum goes on from what stands there.
template <class T>
void reduce_rows(const KernelCall& call) {
  constexpr int64_t max_columns = 1024;
  constexpr int64_t block_rows = 64;
  int64_t first, last;
  split_columns(call.out[0].size, call.thread, call.num_threads, &first, &last);
  T* partial = static_cast<T*>(call.scratch);
  for (int64_t column = first; column < last; column += max_columns) {
    const int64_t n = least(max_columns, last - column);
    T* target = static_cast<T*>(call.out[0].data) + column;
    if (call.num_in == 1) fill_row(target, T(0), n);
    for (int64_t block = call.row_begin; block < call.row_end; block += block_rows) {
      copy_row(partial, row_of<T>(call.in[0], block) + column, n);
      const int64_t end = least(block + block_rows, call.row_end);
      for (int64_t r = block + 1; r < end; ++r)
        add_row(partial, row_of<T>(call.in[0], r) + column, n);
      add_row(target, partial, n);
    }
  }
}

}  // namespace
}  // namespace cavs
