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
CAVS_INLINE VecD sine(VecD x, int quarter) {
  return map_lanes(x, [&](double v) { return quarter == 0 ? __builtin_sin(v) : __builtin_cos(v); });
}
CAVS_INLINE VecD erf_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_erf(v); });
}
CAVS_INLINE VecD gelu_(VecD x) {
  return map_lanes(x, [](double v) {
    const double tail = v < -40 ? -40 : v;  // not infinity times 0
    return tail * 0.5 * __builtin_erfc(v * -0.70710678118654752);
  });
}
CAVS_INLINE VecD silu_(VecD x) {
  return map_lanes(x, [](double v) {
    const double low = v < -800 ? -800 : v;  // not infinity times 0
    return low < -30 ? low * __builtin_exp(low) : low / (1 + __builtin_exp(-low));
  });
}
CAVS_INLINE VecD expm1_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_expm1(v); });
}
CAVS_INLINE VecD log1p_(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(v); });
}
CAVS_INLINE VecD lgamma_(VecD x) {
  return map_lanes(x, [](double v) {
    int sign;  // not a global one, which threads would share
    return __builtin_lgamma_r(v, &sign);
  });
}
CAVS_INLINE VecD sigmoid_(VecD x) { return 1.0 / (1.0 + exp_(-x)); }
CAVS_INLINE VecD log1p_exp_minus_abs(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(__builtin_exp(-__builtin_fabs(v))); });
}

}  // namespace
}  // namespace cavs

#include "group/special_double.h"

namespace cavs {
namespace {

CAVS_INLINE VecD digamma_(VecD x) { return digamma_of_double(x); }
CAVS_INLINE VecD zeta_(VecD s, VecD q) { return zeta_of_double(s, q); }

}  // namespace
}  // namespace cavs
