// Kernels that pool the images of a row: the maxima and the means of windows, and their
// derivatives.
//
// Images are copied a block of windows at a time, with what stands around them, into planes: one
// for each place of an element within a stride. There the elements that neighbouring windows have
// at one place, a tap, are neighbours too, across lines and images. So each tap of all windows of
// the block is one run of adjacent numbers, however short the lines are.
#pragma once

#include "cpu/kernels/pooling_planes.inl.h"
#include "cpu/kernels/pooling_single.inl.h"

namespace cavs {
namespace {

// Calls body(first window) for the windows of a block, kPoolVectors vectors at a time.
template <class T, class Body>
CAVS_INLINE void for_each_step(const PoolPlanes<T>& planes, Body body) {
  for (int64_t f = 0; f < planes.windows; f += kPoolVectors * kLanes<T>) body(f);
}

template <class T>
void max_pool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  if (!PoolPlanes<T>::fits(it)) return max_pool_single<T>(call, it);
  PoolPlanes<T> planes(call, it, 1, 1);
  planes.for_each_block([&](int64_t r) {
    const T* x = planes.fill_planes(call.in[0], r, static_cast<T>(-infinity()), 0);
    T* y = planes.windows_of(0);
    for_each_step(planes, [&](int64_t f) {
      Vec<T> top[kPoolVectors];
      for (int k = 0; k < kPoolVectors; ++k) {
        top[k] = load_vector(x + planes.offsets[0] + f + k * kLanes<T>);
      }
      for (int64_t tap = 1; tap < planes.taps; ++tap) {
        const T* at = x + planes.offsets[tap] + f;
        for (int k = 0; k < kPoolVectors; ++k) {
          top[k] = maximum_(top[k], load_vector(at + k * kLanes<T>));
        }
      }
      for (int k = 0; k < kPoolVectors; ++k) store_vector(y + f + k * kLanes<T>, top[k]);
    });
    planes.store_windows(y, call.out[0], r);
  });
}

// Equal maxima share the cotangent evenly; all elements of a window with NaN get NaN.
template <class T>
void max_pool_grad(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  if (!PoolPlanes<T>::fits(it)) return max_pool_grad_single<T>(call, it);
  PoolPlanes<T> planes(call, it, 2, 3);
  zero_images<T>(call);
  const Vec<T> zero = {}, one = splat(T(1)), nan = splat(static_cast<T>(not_a_number()));
  planes.for_each_block([&](int64_t r) {
    const T* x = planes.fill_planes(call.in[2], r, static_cast<T>(not_a_number()), 0);
    T *dx = planes.zero_planes(1), *share = planes.windows_of(0), *other = planes.windows_of(1);
    const T* y = planes.load_windows(call.in[1], r, 2);
    planes.load_windows(call.in[0], r, 0);
    for_each_step(planes, [&](int64_t f) {
      for (int k = 0; k < kPoolVectors; ++k) {
        const int64_t at = f + k * kLanes<T>;
        const Vec<T> top = load_vector(y + at);
        Vec<T> count = zero;
        for (int64_t tap = 0; tap < planes.taps; ++tap) {
          count += select(load_vector(x + planes.offsets[tap] + at) == top, one, zero);
        }
        store_vector(share + at, load_vector(share + at) / count);
        store_vector(other + at, select(top == top, zero, nan));
      }
    });
    planes.forget_gaps(share);
    planes.forget_gaps(other);
    for (int64_t tap = planes.taps - 1; tap >= 0; --tap) {  // windows come in ascending order
      const int64_t offset = planes.offsets[tap];
      for (int64_t f = 0; f < planes.windows; f += kLanes<T>) {
        const auto is_top = load_vector(x + offset + f) == load_vector(y + f);
        const Vec<T> part = select(is_top, load_vector(share + f), load_vector(other + f));
        store_vector(dx + offset + f, load_vector(dx + offset + f) + part);
      }
    }
    planes.add_planes(dx, call.out[0], r);
  });
}

// The adjoint of that: the mean of d at the maxima of each window; 0 where none is.
template <class T>
void max_pool_tangent(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  if (!PoolPlanes<T>::fits(it)) return max_pool_tangent_single<T>(call, it);
  PoolPlanes<T> planes(call, it, 2, 2);
  const Vec<T> zero = {}, one = splat(T(1));
  planes.for_each_block([&](int64_t r) {
    const T* x = planes.fill_planes(call.in[2], r, static_cast<T>(not_a_number()), 0);
    const T* d = planes.fill_planes(call.in[0], r, T(0), 1);
    const T* y = planes.load_windows(call.in[1], r, 0);
    T* out = planes.windows_of(1);
    for_each_step(planes, [&](int64_t f) {
      for (int k = 0; k < kPoolVectors; ++k) {
        const int64_t at = f + k * kLanes<T>;
        const Vec<T> top = load_vector(y + at);
        Vec<T> count = zero, sum = zero;
        for (int64_t tap = 0; tap < planes.taps; ++tap) {
          const int64_t offset = planes.offsets[tap] + at;
          const auto is_top = load_vector(x + offset) == top;
          count += select(is_top, one, zero);
          sum += select(is_top, load_vector(d + offset), zero);
        }
        store_vector(out + at, select(top == top, sum / maximum_(count, one), top));
      }
    });
    planes.store_windows(out, call.out[0], r);
  });
}

template <class T>
void avg_pool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  if (!PoolPlanes<T>::fits(it)) return avg_pool_single<T>(call, it);
  PoolPlanes<T> planes(call, it, 1, 2);
  planes.for_each_block([&](int64_t r) {
    const T* x = planes.fill_planes(call.in[0], r, T(0), 0);
    const T* counts = planes.count_elements(0);
    T* y = planes.windows_of(1);
    for_each_step(planes, [&](int64_t f) {
      Vec<T> sum[kPoolVectors] = {};
      for (int64_t tap = 0; tap < planes.taps; ++tap) {
        const T* at = x + planes.offsets[tap] + f;
        for (int k = 0; k < kPoolVectors; ++k) sum[k] += load_vector(at + k * kLanes<T>);
      }
      for (int k = 0; k < kPoolVectors; ++k) {
        const int64_t at = f + k * kLanes<T>;
        store_vector(y + at, sum[k] / load_vector(counts + at));
      }
    });
    planes.store_windows(y, call.out[0], r);
  });
}

// The adjoint.
template <class T>
void avg_unpool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  if (!PoolPlanes<T>::fits(it)) return avg_unpool_single<T>(call, it);
  PoolPlanes<T> planes(call, it, 1, 2);
  zero_images<T>(call);
  planes.for_each_block([&](int64_t r) {
    const T* counts = planes.count_elements(0);
    T *share = planes.load_windows(call.in[0], r, 1), *dx = planes.zero_planes(0);
    for (int64_t f = 0; f < planes.windows; f += kLanes<T>) {
      store_vector(share + f, load_vector(share + f) / load_vector(counts + f));
    }
    planes.forget_gaps(share);
    for (int64_t tap = planes.taps - 1; tap >= 0; --tap) {
      T* at = dx + planes.offsets[tap];
      for (int64_t f = 0; f < planes.windows; f += kLanes<T>) {
        store_vector(at + f, load_vector(at + f) + load_vector(share + f));
      }
    }
    planes.add_planes(dx, call.out[0], r);
  });
}

}  // namespace
}  // namespace cavs
