// Transcendental functions on vectors of double: libm, lane by lane. They serve tests and gradient
// checks, not speed.
#pragma once

#include "cpu/kernels/simd.inl.h"

namespace cavs {
namespace {

template <class Function>
CAVS_INLINE VecD map_lanes(VecD x, Function function) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = function(x[i]);
  return x;
}

CAVS_INLINE VecD exp_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_exp(v); });
}
CAVS_INLINE VecD log_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log(v); });
}
CAVS_INLINE VecD tanh_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_tanh(v); });
}
// Winitzki's estimate gives two digits. Each Newton step after it doubles the number of digits.
CAVS_INLINE VecD erfinv_(VecD x) {
  return map_lanes(x, [](double v) {
    if (__builtin_fabs(v) == 1) return __builtin_copysign(__builtin_inf(), v);
    const double l = __builtin_log((1 - v) * (1 + v)), h = 4.33074675078 + l / 2;
    double y = __builtin_copysign(__builtin_sqrt(__builtin_sqrt(h * h - l / 0.147) - h), v);
    for (int i = 0; i < 4; ++i) {
      y -= (__builtin_erf(y) - v) * 0.886226925452758014 * __builtin_exp(y * y);
    }
    return y;
  });
}
CAVS_INLINE VecD pow_(VecD a, VecD b) {
  for (int i = 0; i < kLanes<double>; ++i) a[i] = __builtin_pow(a[i], b[i]);
  return a;
}
CAVS_INLINE VecD sigmoid_(VecD x) { return 1.0 / (1.0 + exp_(-x)); }
CAVS_INLINE VecD log1p_exp_minus_abs(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(__builtin_exp(-__builtin_fabs(v))); });
}

}  // namespace
}  // namespace cavs
