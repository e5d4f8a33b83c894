// Pooling window by window: of large windows, whose lines are long.
#pragma once

#include "cpu/kernels/log_space.inl.h"
#include "cpu/kernels/pooling_planes.inl.h"
#include "cpu/kernels/reductions.inl.h"

namespace cavs {
namespace {

// Calls body(row, place of the window, place of its image, line and column where it begins) for
// each window.
template <class Body>
CAVS_INLINE void for_each_window(const KernelCall& call, const PoolAttributes& it, Body body) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    int64_t place = 0;
    for (int64_t g = 0; g < it.outer; ++g) {
      for (int64_t v = 0; v < it.windows_y; ++v) {
        for (int64_t w = 0; w < it.windows_x; ++w) {
          body(r, place++, g * it.height * it.width, v * it.stride_y - it.top,
               w * it.stride_x - it.left);
        }
      }
    }
  }
}

// Calls body(place, n) for each line of a window: n adjacent elements of the image.
template <class Body>
CAVS_INLINE void for_each_segment(const PoolAttributes& it, int64_t image, int64_t top,
                                  int64_t left, Body body) {
  const int64_t begin = greatest(left, 0), n = least(left + it.size_x, it.width) - begin;
  const int64_t end = least(top + it.size_y, it.height);
  for (int64_t y = greatest(top, 0); y < end; ++y) body(image + y * it.width + begin, n);
}

template <class T>
CAVS_INLINE T equal_elements(const T* x, T y, int64_t n) {
  T count = 0;
  for (int64_t i = 0; i < n; ++i) count += x[i] == y ? T(1) : T(0);
  return count;
}

template <class T>
CAVS_INLINE T count_maxima(const PoolAttributes& it, const T* x, T y, int64_t image, int64_t top,
                           int64_t left) {
  T count = 0;
  for_each_segment(it, image, top, left,
                   [&](int64_t at, int64_t n) { count += equal_elements(x + at, y, n); });
  return count;
}

template <class T>
void max_pool_single(const KernelCall& call, const PoolAttributes& it) {
  constexpr int64_t kFew = 32;
  for_each_window(call, it, [&](int64_t r, int64_t w, int64_t image, int64_t top, int64_t left) {
    const T* x = row_of<T>(call.in[0], r);
    T y = static_cast<T>(-infinity()), tops[kFew];
    if (it.size_x <= kFew) {  // of the columns first, since those do not wait for each other
      for (T& each : tops) each = y;
      for_each_segment(it, image, top, left, [&](int64_t at, int64_t n) {
        for (int64_t i = 0; i < n; ++i) tops[i] = larger(tops[i], x[at + i]);
      });
      for (int64_t i = 0; i < it.size_x; ++i) y = larger(y, tops[i]);
    } else {
      for_each_segment(it, image, top, left,
                       [&](int64_t at, int64_t n) { y = larger(y, row_maximum(x + at, n)); });
    }
    row_of<T>(call.out[0], r)[w] = y;
  });
}

template <class T>
void max_pool_grad_single(const KernelCall& call, const PoolAttributes& it) {
  zero_images<T>(call);
  for_each_window(call, it, [&](int64_t r, int64_t w, int64_t image, int64_t top, int64_t left) {
    const T *x = row_of<T>(call.in[2], r), y = row_of<T>(call.in[1], r)[w];
    T* dx = row_of<T>(call.out[0], r);
    const T share = row_of<T>(call.in[0], r)[w] / count_maxima(it, x, y, image, top, left);
    const T other = y == y ? T(0) : y;
    for_each_segment(it, image, top, left, [&](int64_t at, int64_t n) {
      for (int64_t i = at; i < at + n; ++i) dx[i] += x[i] == y ? share : other;
    });
  });
}

template <class T>
void max_pool_tangent_single(const KernelCall& call, const PoolAttributes& it) {
  for_each_window(call, it, [&](int64_t r, int64_t w, int64_t image, int64_t top, int64_t left) {
    const T *x = row_of<T>(call.in[2], r), *d = row_of<T>(call.in[0], r);
    const T y = row_of<T>(call.in[1], r)[w];
    T sum = 0;
    for_each_segment(it, image, top, left, [&](int64_t at, int64_t n) {
      for (int64_t i = at; i < at + n; ++i) sum += x[i] == y ? d[i] : T(0);
    });
    const T count = larger(count_maxima(it, x, y, image, top, left), T(1));
    row_of<T>(call.out[0], r)[w] = y == y ? sum / count : y;
  });
}

template <class T>
void avg_pool_single(const KernelCall& call, const PoolAttributes& it) {
  for_each_window(call, it, [&](int64_t r, int64_t w, int64_t image, int64_t top, int64_t left) {
    const T* x = row_of<T>(call.in[0], r);
    T sum = 0;
    for_each_segment(it, image, top, left,
                     [&](int64_t at, int64_t n) { sum += row_total(x + at, n); });
    row_of<T>(call.out[0], r)[w] = sum / static_cast<T>(elements_of(it, top, left));
  });
}

template <class T>
void avg_unpool_single(const KernelCall& call, const PoolAttributes& it) {
  zero_images<T>(call);
  for_each_window(call, it, [&](int64_t r, int64_t w, int64_t image, int64_t top, int64_t left) {
    const T share = row_of<T>(call.in[0], r)[w] / static_cast<T>(elements_of(it, top, left));
    T* dx = row_of<T>(call.out[0], r);
    for_each_segment(it, image, top, left, [&](int64_t at, int64_t n) {
      for (int64_t i = at; i < at + n; ++i) dx[i] += share;
    });
  });
}

}  // namespace
}  // namespace cavs
