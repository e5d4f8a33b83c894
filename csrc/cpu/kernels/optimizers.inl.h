// Optimiser loops. The arrays of one call are distinct, so the compiler may vectorise freely.
#pragma once

#include <limits>
#include <type_traits>

#include "cpu/kernels/optimizers.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

CAVS_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
CAVS_INLINE double square_root(double x) { return __builtin_sqrt(x); }

template <class T>
void sgd_loop(const SgdSettings& s, T* __restrict param, const T* __restrict grad,
              T* __restrict momentum, int64_t n) {
  const T lr = static_cast<T>(s.lr), decay = static_cast<T>(s.weight_decay);
  const T mu = static_cast<T>(s.momentum);
  if (momentum == nullptr) {
    for (int64_t i = 0; i < n; ++i) param[i] -= lr * (grad[i] + decay * param[i]);
  } else if (s.nesterov) {
    for (int64_t i = 0; i < n; ++i) {
      const T g = grad[i] + decay * param[i];
      momentum[i] = mu * momentum[i] + g;
      param[i] -= lr * (g + mu * momentum[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      momentum[i] = mu * momentum[i] + (grad[i] + decay * param[i]);
      param[i] -= lr * momentum[i];
    }
  }
}

template <class T>
void adagrad_loop(const AdagradSettings& s, T* __restrict param, const T* __restrict grad,
                  T* __restrict sum, int64_t n) {
  const T lr = static_cast<T>(s.lr), eps = static_cast<T>(s.eps);
  const T decay = static_cast<T>(s.weight_decay);
  for (int64_t i = 0; i < n; ++i) {
    const T g = grad[i] + decay * param[i];
    sum[i] += g * g;
    param[i] -= lr * g / (square_root(sum[i]) + eps);
  }
}

template <class T>
void adam_loop(const AdamSettings& s, int64_t step, T* __restrict param, const T* __restrict grad,
               T* __restrict m, T* __restrict v, int64_t n) {
  const double correction1 = 1 - __builtin_pow(s.beta1, static_cast<double>(step));
  const double correction2 = __builtin_sqrt(1 - __builtin_pow(s.beta2, static_cast<double>(step)));
  const T rate = static_cast<T>(s.sparse ? s.lr * correction2 / correction1 : s.lr / correction1);
  const T correction = static_cast<T>(s.sparse ? 1 : correction2);
  const T keep1 = static_cast<T>(s.beta1), take1 = static_cast<T>(1 - s.beta1);
  const T keep2 = static_cast<T>(s.beta2), take2 = static_cast<T>(1 - s.beta2);
  const T eps = static_cast<T>(s.eps);
  const T decay = static_cast<T>(s.decoupled ? 0 : s.weight_decay);
  const T shrink = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
  for (int64_t i = 0; i < n; ++i) {
    const T g = grad[i] + decay * param[i];
    m[i] = keep1 * m[i] + take1 * g;
    v[i] = keep2 * v[i] + take2 * (g * g);
    param[i] = param[i] * shrink - rate * m[i] / (square_root(v[i]) / correction + eps);
  }
}

template <class T>
void rmsprop_loop(const RmspropSettings& s, T* __restrict param, const T* __restrict grad,
                  T* __restrict square, T* __restrict momentum, T* __restrict mean, int64_t n) {
  const T lr = static_cast<T>(s.lr), eps = static_cast<T>(s.eps);
  const T decay = static_cast<T>(s.weight_decay), mu = static_cast<T>(s.momentum);
  const T keep = static_cast<T>(s.alpha), take = static_cast<T>(1 - s.alpha);
  const auto run = [&](const auto& variance, const auto& move) {
    for (int64_t i = 0; i < n; ++i) {
      const T g = grad[i] + decay * param[i];
      square[i] = keep * square[i] + take * (g * g);
      param[i] -= lr * move(i, g / (square_root(variance(i, g)) + eps));
    }
  };
  const auto raw = [&](int64_t i, T) { return square[i]; };
  const auto centered = [&](int64_t i, T g) {
    mean[i] = keep * mean[i] + take * g;
    const T found = square[i] - mean[i] * mean[i];
    return found > 0 ? found : static_cast<T>(0);  // less by rounding alone
  };
  const auto plain = [](int64_t, T x) { return x; };
  const auto heavy = [&](int64_t i, T x) { return momentum[i] = mu * momentum[i] + x; };
  if (mean == nullptr) {
    momentum == nullptr ? run(raw, plain) : run(raw, heavy);
  } else {
    momentum == nullptr ? run(centered, plain) : run(centered, heavy);
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
  for (int64_t i = 0; i < n; ++i) x[i] += f * y[i];
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

template <class T>
constexpr OptimizerTable<T> kOptimizers = {
    sgd_loop<T>,     adagrad_loop<T>,      adam_loop<T>,   rmsprop_loop<T>,
    sum_loop<T>,     sum_squares_loop<T>,  scale_loop<T>,  add_scaled_loop<T>,
    max_abs_loop<T>, max_abs_rows_loop<T>, has_nan_loop<T>};

}  // namespace
}  // namespace cavs
