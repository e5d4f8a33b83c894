// Sums of Gaussian kernels over all pairs of rows, and their gradient, block by block: no array of
// pairs is made.
#pragma once

#include "cpu/isa_table.h"
#include "cpu/kernels/double_math.inl.h"
#include "cpu/kernels/simd.inl.h"
#include "group/scalar_math.h"

namespace cavs {
namespace {

// So many rows of x go over a panel together: each vector of y is loaded once for all of them.
constexpr int kPairRows = 4;

// The kernels of one vector of pairs: adds them up over the widths. Gives the rate at which their
// sum grows with x_i along y_j - x_i.
template <class T>
CAVS_INLINE Vec<T> kernels_of(Vec<T> distance, const PairwiseSum<T>& p, int64_t lanes,
                              Vec<T>* total) {
  Vec<T> sum = {}, slope = {};
  for (int64_t w = 0; w < p.num_widths; ++w) {
    const Vec<T> rate = splat(p.rates[w]);
    const Vec<T> kernel = exp_(distance * (rate * splat(T(-0.5))));
    sum += kernel;
    slope = multiply_add(kernel, rate, slope);
  }
  if (lanes < kLanes<T>) {
    sum = keep_lanes(sum, lanes);
    slope = keep_lanes(slope, lanes);
  }
  *total += sum;
  return slope;
}

// Rows [row, row + Rows) of x and one panel of y. Differences are squared as they are: |x|^2 +
// |y|^2
// - 2 x y would lose the small distances.
template <int Rows, class T>
void pair_tile(const PairwiseSum<T>& p, int64_t row, int64_t panel) {
  constexpr int64_t width = kPairColumns;
  const T* y = p.panels + panel * width * p.d;
  const T* x = p.x + row * p.d;
  const int64_t columns = least(width, p.m - panel * width);
  alignas(64) T slopes[Rows][width];
  Vec<T> totals[Rows] = {};
  for (int64_t j = 0; j < columns; j += kLanes<T>) {
    Vec<T> distances[Rows] = {};
    for (int64_t k = 0; k < p.d; ++k) {
      const Vec<T> line = load_vector(y + k * width + j);
      for (int i = 0; i < Rows; ++i) {
        const Vec<T> difference = line - splat(x[i * p.d + k]);
        distances[i] = multiply_add(difference, difference, distances[i]);
      }
    }
    for (int i = 0; i < Rows; ++i) {
      store_vector(slopes[i] + j, kernels_of(distances[i], p, columns - j, &totals[i]));
    }
  }
  for (int i = 0; i < Rows; ++i) p.sums[row + i] += static_cast<double>(sum_lanes<T>(totals[i]));
  if (p.grad == nullptr) return;
  T* grad = p.grad + row * p.d;
  for (int64_t k = 0; k < p.d; ++k) {
    Vec<T> sums[Rows] = {};
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      const Vec<T> line = load_vector(y + k * width + j);
      for (int i = 0; i < Rows; ++i) {
        sums[i] = multiply_add(load_vector(slopes[i] + j), line - splat(x[i * p.d + k]), sums[i]);
      }
    }
    for (int i = 0; i < Rows; ++i) grad[i * p.d + k] += sum_lanes<T>(sums[i]);
  }
}

// The same rows and panel: with t = y_j - x_i and e = u_i - v_j, the gradient of <g_ij, e> by x_i
// is (sum over widths of kernel / w^4) <t, e> t - (sum of kernel / w^2) e.
template <int Rows, class T>
void curve_tile(const PairwiseCurve<T>& p, int64_t row, int64_t panel) {
  constexpr int64_t width = kPairColumns;
  const T *y = p.y_panels + panel * width * p.d, *v = p.v_panels + panel * width * p.d;
  const T *x = p.x + row * p.d, *u = p.u + row * p.d;
  const int64_t columns = least(width, p.m - panel * width);
  alignas(64) T along[Rows][width], slopes[Rows][width];
  for (int64_t j = 0; j < columns; j += kLanes<T>) {
    Vec<T> distances[Rows] = {}, products[Rows] = {};
    for (int64_t k = 0; k < p.d; ++k) {
      const Vec<T> line = load_vector(y + k * width + j), turn = load_vector(v + k * width + j);
      for (int i = 0; i < Rows; ++i) {
        const Vec<T> difference = line - splat(x[i * p.d + k]);
        distances[i] = multiply_add(difference, difference, distances[i]);
        products[i] = multiply_add(difference, splat(u[i * p.d + k]) - turn, products[i]);
      }
    }
    for (int i = 0; i < Rows; ++i) {
      Vec<T> slope = {}, curve = {};
      for (int64_t w = 0; w < p.num_widths; ++w) {
        const Vec<T> rate = splat(p.rates[w]);
        const Vec<T> part = rate * exp_(distances[i] * (rate * splat(T(-0.5))));
        slope += part;
        curve = multiply_add(part, rate, curve);
      }
      curve *= products[i];
      if (columns - j < kLanes<T>) {
        slope = keep_lanes(slope, columns - j);
        curve = keep_lanes(curve, columns - j);
      }
      store_vector(slopes[i] + j, slope);
      store_vector(along[i] + j, curve);
    }
  }
  T* grad = p.grad + row * p.d;
  for (int64_t k = 0; k < p.d; ++k) {
    Vec<T> sums[Rows] = {};
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      const Vec<T> line = load_vector(y + k * width + j), turn = load_vector(v + k * width + j);
      for (int i = 0; i < Rows; ++i) {
        const Vec<T> difference = line - splat(x[i * p.d + k]);
        const Vec<T> sum = multiply_add(load_vector(along[i] + j), difference, sums[i]);
        sums[i] = subtract_product(sum, load_vector(slopes[i] + j), splat(u[i * p.d + k]) - turn);
      }
    }
    for (int i = 0; i < Rows; ++i) grad[i * p.d + k] += sum_lanes<T>(sums[i]);
  }
}

// Calls tile(number of rows, first row, panel) for all of them.
template <class P, class Tile>
CAVS_INLINE void for_each_tile(const P& p, Tile tile) {
  const int64_t panels = (p.m + kPairColumns - 1) / kPairColumns;
  for (int64_t panel = 0; panel < panels; ++panel) {
    int64_t row = p.begin;
    for (; row + kPairRows <= p.end; row += kPairRows) tile(Fixed<kPairRows>(), row, panel);
    for (; row < p.end; ++row) tile(Fixed<1>(), row, panel);
  }
}

template <class T>
void pairwise_sum(const PairwiseSum<T>& p) {
  for_each_tile(p, [&](auto rows, int64_t row, int64_t panel) {
    pair_tile<decltype(rows)::value>(p, row, panel);
  });
}

template <class T>
void pairwise_curve(const PairwiseCurve<T>& p) {
  for_each_tile(p, [&](auto rows, int64_t row, int64_t panel) {
    curve_tile<decltype(rows)::value>(p, row, panel);
  });
}

}  // namespace
}  // namespace cavs
