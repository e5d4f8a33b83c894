// Kernels that reduce: over the rows of a segment, over columns, over all rows.
#pragma once

#include "cpu/kernels/log_space.inl.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

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

template <class T>
void row_sum(const KernelCall& call) {
  for_each_group<T>(call, true, [](const T* x, T* y, int64_t n) { *y = row_total(x, n); });
}

template <class T>
void row_max(const KernelCall& call) {
  const auto line = [](const T* x, T* y, int64_t n) { *y = n == 0 ? T(0) : row_maximum(x, n); };
  for_each_group<T>(call, true, line, [](const T* x, T* y, int64_t n, int64_t inner) {
    copy_row(y, x, inner);
    for (int64_t i = 1; i < n; ++i) {
      for (int64_t j = 0; j < inner; ++j) y[j] = larger(y[j], x[i * inner + j]);
    }
  });
}

// Columns [begin, end) of n that thread `thread` takes; the borders are multiples of a cache line.
CAVS_INLINE void split_columns(int64_t n, int thread, int num_threads, int64_t* begin,
                               int64_t* end) {
  constexpr int64_t unit = 16;
  const int64_t units = (n + unit - 1) / unit;
  *begin = least(n, units * thread / num_threads * unit);
  *end = least(n, units * (thread + 1) / num_threads * unit);
}

// Sums blocks of rows first: the error then grows with the number of blocks, not of rows. A second
// operand is the output itself; the sum then goes on from its values.
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

// Zeros where there are no rows. A second operand is the output itself, as of reduce_rows.
template <class T>
void max_rows(const KernelCall& call) {
  int64_t first, last;
  split_columns(call.out[0].size, call.thread, call.num_threads, &first, &last);
  T* target = static_cast<T*>(call.out[0].data) + first;
  const int64_t n = last - first;
  const bool goes_on = call.num_in > 1;
  if (call.row_begin == call.row_end && !goes_on) fill_row(target, T(0), n);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* source = row_of<T>(call.in[0], r) + first;
    if (r == call.row_begin && !goes_on) {
      copy_row(target, source, n);
    } else {
      for (int64_t j = 0; j < n; ++j) target[j] = larger(target[j], source[j]);
    }
  }
}

}  // namespace
}  // namespace cavs
