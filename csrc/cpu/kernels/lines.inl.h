// Kernels that go along lines of a row one element after the other: running sums, orders, and
// elements by their numbers. The elements of a line stand `inner` apart.
#pragma once

#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// Running sums of the `n` rows of `columns` elements from x on, each `step` elements after the last
// one: a step below zero begins at the last row.
template <class T>
CAVS_INLINE void running_sums(const T* x, T* y, int64_t n, int64_t columns, int64_t step) {
  copy_row(y, x, columns);
  for (int64_t i = 1; i < n; ++i) {
    x += step;
    y += step;
    for (int64_t j = 0; j < columns; ++j) y[j] = y[j - step] + x[j];
  }
}

template <class T>
void cumsum(const KernelCall& call) {
  const auto& it = attributes_of<ScanAttributes>(call);
  const int64_t group = it.length * it.inner, last = group - it.inner;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    for (int64_t g = 0; g < it.outer; ++g, x += group, y += group) {
      if (it.reverse) {
        running_sums(x + last, y + last, it.length, it.inner, -it.inner);
      } else {
        running_sums(x, y, it.length, it.inner, it.inner);
      }
    }
  }
}

// Whether one element of a line stands before another one: by their values, of which NaN is the
// greatest, and by their places where the values are equal. So there is one order, however it is
// found.
template <class T>
struct Before {
  const T* x;
  int64_t step;
  bool descending;

  CAVS_INLINE bool operator()(int32_t a, int32_t b) const {
    const T u = x[a * step], v = x[b * step];
    const bool less = u < v || (v != v && u == u), more = v < u || (u != u && v == v);
    return less || more ? (descending ? more : less) : a < b;
  }
};

// Moves the element at place `at` of a heap of `size` down to where it belongs. The root is the
// last one in the order.
template <class T>
CAVS_INLINE void sift_down(int32_t* heap, int64_t step, int64_t at, int64_t size,
                           const Before<T>& before) {
  const int32_t moved = heap[at * step];
  for (int64_t child; (child = 2 * at + 1) < size; at = child) {
    if (child + 1 < size && before(heap[child * step], heap[(child + 1) * step])) ++child;
    if (!before(moved, heap[child * step])) break;
    heap[at * step] = heap[child * step];
  }
  heap[at * step] = moved;
}

// The places of the first `count` elements of a line of `n` in its order. They are kept as a heap
// while the line is read.
template <class T>
CAVS_INLINE void sort_line(int32_t* y, int64_t n, int64_t count, const Before<T>& before) {
  const int64_t step = before.step;
  for (int64_t i = 0; i < count; ++i) y[i * step] = static_cast<int32_t>(i);
  for (int64_t i = count / 2; i-- > 0;) sift_down(y, step, i, count, before);
  for (int64_t i = count; i < n; ++i) {
    if (!before(static_cast<int32_t>(i), y[0])) continue;
    y[0] = static_cast<int32_t>(i);
    sift_down(y, step, 0, count, before);
  }
  for (int64_t end = count - 1; end > 0; --end) {
    const int32_t root = y[0];
    y[0] = y[end * step];
    y[end * step] = root;
    sift_down(y, step, 0, end, before);
  }
}

template <class T>
void argsort(const KernelCall& call) {
  const auto& it = attributes_of<OrderAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    int32_t* y = row_of<int32_t>(call.out[0], r);
    for (int64_t g = 0; g < it.outer; ++g, x += it.length * it.inner, y += it.count * it.inner) {
      for (int64_t j = 0; j < it.inner; ++j) {
        sort_line(y + j, it.length, it.count, Before<T>{x + j, it.inner, it.descending});
      }
    }
  }
}

// Calls body(line, place, id) for each element that is picked: the number of the first element of
// its line in the whole, where the element goes among those that are picked, and its number.
template <class Body>
CAVS_INLINE void for_each_picked(const PickAttributes& it, const int32_t* ids, Body body) {
  for (int64_t g = 0; g < it.outer; ++g) {
    for (int64_t k = 0; k < it.count; ++k) {
      const int64_t place = (g * it.count + k) * it.inner;
      for (int64_t j = 0; j < it.inner; ++j) {
        body(g * it.length * it.inner + j, place + j, ids[it.along ? place + j : k]);
      }
    }
  }
}

// Zeros for an id of -1. An id without an element gives NaN, and nothing outside of the row is
// read.
template <class T>
void pick_elements(const KernelCall& call) {
  const auto& it = attributes_of<PickAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    for_each_picked(it, row_of<int32_t>(call.in[1], r), [&](int64_t line, int64_t at, int64_t id) {
      const bool there = id >= 0 && id < it.length;
      y[at] = there ? x[line + id * it.inner] : id < 0 ? T(0) : static_cast<T>(__builtin_nan(""));
    });
  }
}

// The adjoint: elements of one number add up.
template <class T>
void put_elements(const KernelCall& call) {
  const auto& it = attributes_of<PickAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    fill_row(y, T(0), call.out[0].size);
    for_each_picked(it, row_of<int32_t>(call.in[1], r), [&](int64_t line, int64_t at, int64_t id) {
      if (id >= 0 && id < it.length) y[line + id * it.inner] += x[at];
    });
  }
}

}  // namespace
}  // namespace cavs
