// Kernels that pool the images of a row: the maxima and the means of windows, and their
// derivatives.
#pragma once

#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// The windows of a line whose element number `tap` is one of the image: [begin, end) of [0, count).
struct Within {
  int64_t begin, end;
};

CAVS_INLINE Within windows_within(int64_t length, int64_t count, int64_t stride, int64_t tap) {
  const int64_t begin = tap < 0 ? (stride - 1 - tap) / stride : 0, left = length - tap;
  if ((count - 1) * stride < left) return {least(begin, count), count};
  const int64_t end = left <= 0 ? 0 : (left + stride - 1) / stride;
  return {least(begin, end), end};
}

// Windows [first, first + count) of line `line` of an image.
struct WindowRun {
  int64_t line, first, count;
};

// Calls tap(window, element) for each element of the image in each window of a run. Both count from
// the beginning of the line of windows and of the image. An element is met by its windows from the
// first one to the last. Stride: of windows in a line, 0 for any. As many taps as the stride is are
// taken together: their elements stand side by side.
template <int64_t Stride, class Tap>
CAVS_INLINE void for_each_tap(const PoolAttributes& it, const WindowRun& run, Tap tap) {
  const int64_t stride = Stride > 0 ? Stride : it.stride_x, group = Stride > 0 ? Stride : 1;
  const int64_t start = run.first * stride - it.left, top = run.line * it.stride_y - it.top;
  const int64_t stop = least(it.size_y, it.height - top);
  for (int64_t i = top < 0 ? -top : 0; i < stop; ++i) {
    const int64_t row = (top + i) * it.width;
    for (int64_t j = (it.size_x - 1) / group * group; j >= 0; j -= group) {
      const int64_t taps = least(group, it.size_x - j), from = row + start + j;
      // A later tap begins, and ends, at an earlier window.
      const Within first = windows_within(it.width, run.count, stride, start + j);
      const Within last = windows_within(it.width, run.count, stride, start + j + taps - 1);
      const auto some_of = [&](int64_t begin, int64_t end) {
        for (int64_t w = begin; w < end; ++w) {
          for (int64_t l = 0; l < taps; ++l) {
            const int64_t column = start + j + l + w * stride;
            if (column >= 0 && column < it.width) tap(run.first + w, row + column);
          }
        }
      };
      if (taps < group) {
        some_of(last.begin, first.end);
        continue;
      }
      const int64_t begin = least(first.begin, last.end);
      some_of(last.begin, begin);
      for (int64_t w = begin; w < last.end; ++w) {
        for (int64_t l = 0; l < group; ++l) tap(run.first + w, from + w * stride + l);
      }
      some_of(last.end, first.end);
    }
  }
}

constexpr int64_t kWindows = 256;  // of a run, of which a kernel may keep numbers

// Calls body(row, image, run) for all windows of the rows, a line or a part of one at a time.
template <class Body>
CAVS_INLINE void for_each_run(const KernelCall& call, const PoolAttributes& it, Body body) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    for (int64_t g = 0; g < it.outer; ++g) {
      for (int64_t y = 0; y < it.windows_y; ++y) {
        for (int64_t x = 0; x < it.windows_x; x += kWindows) {
          body(r, g, WindowRun{y, x, least(kWindows, it.windows_x - x)});
        }
      }
    }
  }
}

// Calls body(stride) with the strides for which there is code of its own.
template <class Body>
CAVS_INLINE void by_stride(const PoolAttributes& it, Body body) {
  if (it.stride_x == 1) {
    body(Fixed<1>());
  } else if (it.stride_x == 2) {
    body(Fixed<2>());
  } else {
    body(Fixed<0>());
  }
}

// Where the line of windows of a run, and its image, begin in a row.
template <class T>
CAVS_INLINE T* line_of(const Operand& operand, const PoolAttributes& it, int64_t r, int64_t g,
                       const WindowRun& run) {
  return row_of<T>(operand, r) + (g * it.windows_y + run.line) * it.windows_x;
}

template <class T>
CAVS_INLINE T* image_of(const Operand& operand, const PoolAttributes& it, int64_t r, int64_t g) {
  return row_of<T>(operand, r) + g * it.height * it.width;
}

template <class T>
void max_pool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  by_stride(it, [&](auto stride) {
    for_each_run(call, it, [&](int64_t r, int64_t g, const WindowRun& run) {
      const T* x = image_of<T>(call.in[0], it, r, g);
      T* y = line_of<T>(call.out[0], it, r, g, run);
      fill_row(y + run.first, static_cast<T>(-infinity()), run.count);
      for_each_tap<decltype(stride)::value>(
          it, run, [=](int64_t w, int64_t at) { y[w] = larger(y[w], x[at]); });
    });
  });
}

// How many elements of each window of a run equal its maximum y: none where that is NaN.
template <int64_t Stride, class T>
CAVS_INLINE void count_maxima(const PoolAttributes& it, const WindowRun& run, const T* x,
                              const T* y, T* counts) {
  fill_row(counts, T(0), run.count);
  T* of = counts - run.first;
  for_each_tap<Stride>(it, run,
                       [=](int64_t w, int64_t at) { of[w] += x[at] == y[w] ? T(1) : T(0); });
}

// Equal maxima share the cotangent evenly; all elements of a window with NaN get NaN.
template <class T>
void max_pool_grad(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    fill_row(row_of<T>(call.out[0], r), T(0), call.out[0].size);
  }
  by_stride(it, [&](auto stride) {
    for_each_run(call, it, [&](int64_t r, int64_t g, const WindowRun& run) {
      const T* dy = line_of<T>(call.in[0], it, r, g, run);
      const T* y = line_of<T>(call.in[1], it, r, g, run);
      const T* x = image_of<T>(call.in[2], it, r, g);
      T* dx = image_of<T>(call.out[0], it, r, g);
      T shares[kWindows], others[kWindows];
      count_maxima<decltype(stride)::value>(it, run, x, y, shares);
      for (int64_t w = 0; w < run.count; ++w) {
        others[w] = shares[w] > T(0) ? T(0) : static_cast<T>(not_a_number());
        shares[w] = dy[run.first + w] / shares[w];
      }
      const T *share = shares - run.first, *other = others - run.first;
      for_each_tap<decltype(stride)::value>(
          it, run, [=](int64_t w, int64_t at) { dx[at] += x[at] == y[w] ? share[w] : other[w]; });
    });
  });
}

// The adjoint of that: the mean of d at the maxima of each window.
template <class T>
void max_pool_tangent(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  by_stride(it, [&](auto stride) {
    for_each_run(call, it, [&](int64_t r, int64_t g, const WindowRun& run) {
      const T* d = image_of<T>(call.in[0], it, r, g);
      const T* y = line_of<T>(call.in[1], it, r, g, run);
      const T* x = image_of<T>(call.in[2], it, r, g);
      T* out = line_of<T>(call.out[0], it, r, g, run);
      T counts[kWindows];
      count_maxima<decltype(stride)::value>(it, run, x, y, counts);
      fill_row(out + run.first, T(0), run.count);
      for_each_tap<decltype(stride)::value>(
          it, run, [=](int64_t w, int64_t at) { out[w] += x[at] == y[w] ? d[at] : T(0); });
      for (int64_t w = 0; w < run.count; ++w) out[run.first + w] /= counts[w];
    });
  });
}

// By how many elements the sums of the windows of a run are divided.
template <class T>
CAVS_INLINE void count_elements(const PoolAttributes& it, const WindowRun& run, T* counts) {
  if (it.padded) {
    fill_row(counts, static_cast<T>(it.size_y * it.size_x), run.count);
    return;
  }
  const auto within = [](int64_t start, int64_t size, int64_t length) {
    return least(start + size, length) - (start < 0 ? 0 : start);
  };
  const int64_t lines = within(run.line * it.stride_y - it.top, it.size_y, it.height);
  for (int64_t w = 0; w < run.count; ++w) {
    const int64_t start = (run.first + w) * it.stride_x - it.left;
    counts[w] = static_cast<T>(lines * within(start, it.size_x, it.width));
  }
}

template <class T>
void avg_pool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  by_stride(it, [&](auto stride) {
    for_each_run(call, it, [&](int64_t r, int64_t g, const WindowRun& run) {
      const T* x = image_of<T>(call.in[0], it, r, g);
      T* y = line_of<T>(call.out[0], it, r, g, run);
      T counts[kWindows];
      count_elements(it, run, counts);
      fill_row(y + run.first, T(0), run.count);
      for_each_tap<decltype(stride)::value>(it, run, [=](int64_t w, int64_t at) { y[w] += x[at]; });
      for (int64_t w = 0; w < run.count; ++w) y[run.first + w] /= counts[w];
    });
  });
}

// The adjoint.
template <class T>
void avg_unpool(const KernelCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    fill_row(row_of<T>(call.out[0], r), T(0), call.out[0].size);
  }
  by_stride(it, [&](auto stride) {
    for_each_run(call, it, [&](int64_t r, int64_t g, const WindowRun& run) {
      const T* dy = line_of<T>(call.in[0], it, r, g, run);
      T* dx = image_of<T>(call.out[0], it, r, g);
      T shares[kWindows];
      count_elements(it, run, shares);
      for (int64_t w = 0; w < run.count; ++w) shares[w] = dy[run.first + w] / shares[w];
      const T* share = shares - run.first;
      for_each_tap<decltype(stride)::value>(it, run,
                                            [=](int64_t w, int64_t at) { dx[at] += share[w]; });
    });
  });
}

}  // namespace
}  // namespace cavs
