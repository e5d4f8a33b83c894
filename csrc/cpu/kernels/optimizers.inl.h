// Optimiser loops. The arrays of one call are distinct, so the compiler may vectorise freely.
#pragma once

#include <limits>
#include <type_traits>

#include "cpu/kernels/rows.inl.h"
#include "runtime/optimizer_rates.h"

namespace cavs {
namespace {

template <class T>
void sgd_loop(const SgdSettings& s, T* __restrict param, const T* __restrict grad,
              T* __restrict momentum, int64_t n) {
  SgdRates<T> r = rates_of<T>(s);
  const auto run = [&](const auto& kept) {
    for (int64_t i = 0; i < n; ++i) sgd_step(r, param[i], grad[i], kept(i));
  };
  const auto none = [](int64_t) -> T* { return nullptr; };
  const auto own = [momentum](int64_t i) { return momentum + i; };
  r.nesterov = false;  // known in each loop
  if (momentum == nullptr) return run(none);
  if (!s.nesterov) return run(own);
  r.nesterov = true;
  run(own);
}

template <class T>
void adagrad_loop(const AdagradSettings& s, T* __restrict param, const T* __restrict grad,
                  T* __restrict sum, int64_t n) {
  const AdagradRates<T> r = rates_of<T>(s);
  for (int64_t i = 0; i < n; ++i) adagrad_step(r, param[i], grad[i], sum[i]);
}

template <class T>
void adam_loop(const AdamSettings& s, int64_t step, T* __restrict param, const T* __restrict grad,
               T* __restrict m, T* __restrict v, int64_t n) {
  const AdamRates<T> r = rates_of<T>(s, step);
  for (int64_t i = 0; i < n; ++i) adam_step(r, param[i], grad[i], m[i], v[i]);
}

template <class T>
void rmsprop_loop(const RmspropSettings& s, T* __restrict param, const T* __restrict grad,
                  T* __restrict square, T* __restrict momentum, T* __restrict mean, int64_t n) {
  const RmspropRates<T> r = rates_of<T>(s);
  // Copies of elements stay in registers.
  const auto run = [=](auto has_momentum, auto has_mean) {
    for (int64_t i = 0; i < n; ++i) {
      T own_momentum = 0, own_mean = 0;
      if constexpr (has_momentum) own_momentum = momentum[i];
      if constexpr (has_mean) own_mean = mean[i];
      rmsprop_step(r, param[i], grad[i], square[i], has_momentum ? &own_momentum : nullptr,
                   has_mean ? &own_mean : nullptr);
      if constexpr (has_momentum) momentum[i] = own_momentum;
      if constexpr (has_mean) mean[i] = own_mean;
    }
  };
  const std::true_type yes;
  const std::false_type no;
  if (mean == nullptr) {
    momentum == nullptr ? run(no, no) : run(yes, no);
  } else {
    momentum == nullptr ? run(no, yes) : run(yes, yes);
  }
}

// Sums in double, so that the norm of a large gradient neither overflows nor drops its small
// elements.
template <class T, class Term>
CAVS_INLINE double sum_terms(const T* x, int64_t n, const Term& term) {
  constexpr int64_t lanes = 8;
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; ++j) sums[j] += term(static_cast<double>(x[i + j]));
  }
  double total = 0;
  for (; i < n; ++i) total += term(static_cast<double>(x[i]));
  for (int64_t j = 0; j < lanes; ++j) total += sums[j];
  return total;
}

template <class T>
double sum_loop(const T* x, int64_t n) {
  return sum_terms(x, n, [](double value) { return value; });
}

template <class T>
double sum_squares_loop(const T* x, int64_t n) {
  return sum_terms(x, n, [](double value) { return value * value; });
}

template <class T>
void scale_loop(T* x, double factor, int64_t n) {
  const T f = static_cast<T>(factor);
  for (int64_t i = 0; i < n; ++i) x[i] *= f;
}

template <class T>
void add_scaled_loop(T* __restrict x, const T* __restrict y, double factor, int64_t n) {
  const T f = static_cast<T>(factor);
  for (int64_t i = 0; i < n; ++i) x[i] = fused_multiply_add(f, y[i], x[i]);
}

// Without the sign bit, the bits of numbers have as integers the order of the numbers: infinity
// comes after all finite numbers, and NaN after infinity.
template <class T>
using Magnitude = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <class T>
CAVS_INLINE Magnitude<T> max_bits(const T* x, int64_t n, Magnitude<T> top) {
  constexpr Magnitude<T> magnitude = std::numeric_limits<Magnitude<T>>::max();
  for (int64_t i = 0; i < n; ++i) {
    Magnitude<T> bits;
    __builtin_memcpy(&bits, x + i, sizeof(T));
    bits &= magnitude;
    top = bits > top ? bits : top;
  }
  return top;
}

template <class T>
CAVS_INLINE T number_of(Magnitude<T> bits) {
  T result;
  __builtin_memcpy(&result, &bits, sizeof(T));
  return result;
}

template <class T>
T max_abs_loop(const T* x, int64_t n) {
  return number_of<T>(max_bits(x, n, 0));
}

template <class T>
T max_abs_rows_loop(const T* x, const int32_t* ids, int64_t count, int64_t d) {
  Magnitude<T> top = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t ahead = i + kRowsAhead < count ? ids[i + kRowsAhead] : -1;
    if (ahead >= 0) prefetch_row(x + ahead * d, d);
    if (ids[i] >= 0) top = max_bits(x + ids[i] * d, d, top);
  }
  return number_of<T>(top);
}

template <class T>
bool has_nan_loop(const T* x, int64_t rows, int64_t ld, int64_t n) {
  constexpr int64_t width = kVectorBytes / static_cast<int64_t>(sizeof(T));
  auto found = splat<T>(0) != splat<T>(0);
  for (int64_t r = 0; r < rows; ++r, x += ld) {
    int64_t i = 0;
    for (; i + width <= n; i += width) {
      const Vec<T> v = load_vector(x + i);
      found |= v != v;
    }
    if (i == n) continue;
    const Vec<T> v = load_lanes(x + i, n - i, static_cast<T>(0));
    found |= v != v;
  }
  bool any = false;
  for (int64_t lane = 0; lane < width; ++lane) any = any || found[lane] != 0;
  return any;
}

}  // namespace
}  // namespace cavs
