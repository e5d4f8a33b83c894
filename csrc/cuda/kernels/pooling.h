// Kernels that pool the images of a row, a thread for each element of the result. Sums go over
// windows, and over elements, in ascending order.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs::cuda {
namespace {

// The part of a line, of elements or of windows, from `begin` to before `end`.
struct Span {
  int begin, end;
};

// The elements of a window.
__device__ __forceinline__ Span elements_of(int window, int stride, int size, int before,
                                            int length) {
  const int start = window * stride - before, end = start + size;
  return {start < 0 ? 0 : start, end < length ? end : length};
}

// The windows that an element is in.
__device__ __forceinline__ Span windows_of(int element, int stride, int size, int before,
                                           int windows) {
  const int at = element + before, last = at / stride + 1;
  return {at < size ? 0 : (at - size) / stride + 1, last < windows ? last : windows};
}

// A place in an image, or among its windows: which image, line and column.
struct Place {
  int image, y, x;

  __device__ Place(int place, int height, int width) {
    const int line = place / width;
    x = place - line * width;
    image = line / height;
    y = line - image * height;
  }
};

// Calls body(place in the image) for each element of a window of it.
template <class Body>
__device__ __forceinline__ void for_each_element_of(const Pools& call, int wy, int wx, Body body) {
  const Span ys = elements_of(wy, call.stride_y, call.size_y, call.top, call.height);
  const Span xs = elements_of(wx, call.stride_x, call.size_x, call.left, call.width);
  for (int y = ys.begin; y < ys.end; ++y) {
    for (int x = xs.begin; x < xs.end; ++x) body(y * call.width + x);
  }
}

// How many elements a window of an image has.
__device__ __forceinline__ int count_of(const Pools& call, int wy, int wx) {
  if (call.count != 0) return call.count;
  const Span ys = elements_of(wy, call.stride_y, call.size_y, call.top, call.height);
  const Span xs = elements_of(wx, call.stride_x, call.size_x, call.left, call.width);
  return (ys.end - ys.begin) * (xs.end - xs.begin);
}

// Calls body(row, window, its place) for each window of the rows.
template <class Body>
__device__ __forceinline__ void for_each_window(const Pools& call, Body body) {
  for_each_group(0, call.out.size, call.rows, [&](const Crew&, int r, int place) {
    body(r, Place(place, call.windows_y, call.windows_x), place);
  });
}

// result[element] = the sum of term(row, image, line and column of the window, place of the window
// and of the element) over the windows that an element is in.
template <class Term>
__device__ __forceinline__ void sum_over_windows(const Pools& call, Term term) {
  for_each_group(0, call.out.size, call.rows, [&](const Crew&, int r, int place) {
    const Place at(place, call.height, call.width);
    const Span ys = windows_of(at.y, call.stride_y, call.size_y, call.top, call.windows_y);
    const Span xs = windows_of(at.x, call.stride_x, call.size_x, call.left, call.windows_x);
    Real sum = 0;
    for (int y = ys.begin; y < ys.end; ++y) {
      for (int x = xs.begin; x < xs.end; ++x) {
        const int window = (at.image * call.windows_y + y) * call.windows_x + x;
        sum += term(r, at.image, y, x, window, place);
      }
    }
    row_of<Real>(call.out, r)[place] = sum;
  });
}

__device__ __forceinline__ const Real* image_of(const Pools& call, int input, int r, int image) {
  return row_of<const Real>(call.in[input], r) +
         static_cast<long long>(image) * call.height * call.width;
}

__device__ __forceinline__ int count_maxima(const Pools& call, int r, int image, int wy, int wx,
                                            Real y) {
  const Real* x = image_of(call, 2, r, image);
  int count = 0;
  for_each_element_of(call, wy, wx, [&](int at) { count += x[at] == y ? 1 : 0; });
  return count;
}

__device__ __forceinline__ void max_pool(const Pools& call) {
  for_each_window(call, [&](int r, const Place& window, int place) {
    const Real* x = image_of(call, 0, r, window.image);
    Real y = -infinity();
    for_each_element_of(call, window.y, window.x, [&](int at) { y = maximum_(y, x[at]); });
    row_of<Real>(call.out, r)[place] = y;
  });
}

// Equal maxima share the cotangent evenly; all elements of a window with NaN get NaN.
__device__ __forceinline__ void max_pool_grad(const Pools& call) {
  sum_over_windows(call, [&](int r, int image, int wy, int wx, int window, int element) -> Real {
    const Real y = row_of<const Real>(call.in[1], r)[window];
    if (y != y) return y;
    if (row_of<const Real>(call.in[2], r)[element] != y) return 0;
    return row_of<const Real>(call.in[0], r)[window] /
           static_cast<Real>(count_maxima(call, r, image, wy, wx, y));
  });
}

// The adjoint of that: the mean of d at the maxima of each window.
__device__ __forceinline__ void max_pool_tangent(const Pools& call) {
  for_each_window(call, [&](int r, const Place& window, int place) {
    const Real y = row_of<const Real>(call.in[1], r)[place];
    const Real *d = image_of(call, 0, r, window.image), *x = image_of(call, 2, r, window.image);
    Real sum = 0;
    for_each_element_of(call, window.y, window.x,
                        [&](int at) { sum += x[at] == y ? d[at] : Real(0); });
    const int count = count_maxima(call, r, window.image, window.y, window.x, y);
    row_of<Real>(call.out, r)[place] = y != y ? y : sum / static_cast<Real>(count > 1 ? count : 1);
  });
}

__device__ __forceinline__ void avg_pool(const Pools& call) {
  for_each_window(call, [&](int r, const Place& window, int place) {
    const Real* x = image_of(call, 0, r, window.image);
    Real sum = 0;
    for_each_element_of(call, window.y, window.x, [&](int at) { sum += x[at]; });
    row_of<Real>(call.out, r)[place] = sum / static_cast<Real>(count_of(call, window.y, window.x));
  });
}

__device__ __forceinline__ void avg_unpool(const Pools& call) {
  sum_over_windows(call, [&](int r, int, int wy, int wx, int window, int) -> Real {
    return row_of<const Real>(call.in[0], r)[window] / static_cast<Real>(count_of(call, wy, wx));
  });
}

}  // namespace
}  // namespace cavs::cuda
