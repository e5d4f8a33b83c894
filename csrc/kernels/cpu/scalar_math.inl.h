// Transcendental functions on vectors. Float: polynomials and rational approximations of few units
// in the last place, exact at infinities, NaN for NaN. Double: libm, lane by lane; it serves tests
// and gradient checks, not speed.
#pragma once

#include "kernels/cpu/simd.inl.h"

namespace cavs {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2High = 0.693359375f;  // few bits: n * kLn2High is exact
constexpr float kLn2Low = -2.12194440e-4f;
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
constexpr float kInfinity = __builtin_inff();

// exp(x) = mantissa * 2^exponent with the mantissa in about [0.7, 1.42]. x within +-120.
struct ExpParts {
  VecF mantissa;
  MaskF exponent;
};

CAVS_INLINE ExpParts exp_parts(VecF x) {
  const VecF shifted = x * kLog2E + kRoundingShift;
  const VecF n = shifted - kRoundingShift;
  VecF r = x - n * kLn2High;
  r = r - n * kLn2Low;
  VecF p = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                      1.6666665459e-1f, 5.0000001201e-1f);
  p = p * (r * r) + r;
  return {p + 1.0f, bits_of(shifted) - 0x4b400000};  // the bits of kRoundingShift
}

// Unsigned, since these wrap around where the argument was NaN.
CAVS_INLINE VecF power_of_two(MaskF exponent) {
  return reinterpret_cast<VecF>((reinterpret_cast<WordsF>(exponent) + 127u) << 23);
}

CAVS_INLINE VecF exp_(VecF x) {
  const ExpParts parts = exp_parts(at_most(at_least(x, -104.0f), 89.0f));
  // In two steps, since 2^128 and 2^-150 are no floats though they lead to infinity and to zero.
  const MaskF half = parts.exponent >> 1;
  return parts.mantissa * power_of_two(half) * power_of_two(parts.exponent - half);
}

// exp(x) where results below 2^-126 do not matter. An exponent of 128 makes the bits of infinity.
CAVS_INLINE VecF exp_normal(VecF x) {
  const ExpParts parts = exp_parts(at_most(at_least(x, -87.0f), 89.0f));
  return parts.mantissa * power_of_two(parts.exponent);
}

CAVS_INLINE VecF sigmoid_(VecF x) { return 1.0f / (1.0f + exp_normal(-x)); }

// A rational approximation, odd degree 13 over even degree 6, that reaches 1 at the bound.
CAVS_INLINE VecF tanh_(VecF x) {
#if defined(__FMA__)
  constexpr float bound = 7.99881172180175781f;
#else
  constexpr float bound = 7.90531110763549805f;
#endif
  const VecF y = at_most(at_least(x, -bound), bound);
  const VecF y2 = y * y;
  const VecF p = polynomial(y2, -2.76076847742355e-16f, 2.00018790482477e-13f,
                            -8.60467152213735e-11f, 5.12229709037114e-08f, 1.48572235717979e-05f,
                            6.37261928875436e-04f, 4.89352455891786e-03f);
  const VecF q = polynomial(y2, 1.19825839466702e-06f, 1.18534705686654e-04f, 2.26843463243900e-03f,
                            4.89352518554385e-03f);
  VecF result = y * p / q;
#if !defined(__FMA__)
  // Whether the compiler contracts decides where 1 is reached, so it is set.
  const VecF one = float_of((bits_of(x) & bits_of(splat(-0.0f))) | bits_of(splat(1.0f)));
  result = select(abs_(x) >= bound, one, result);
#endif
  return select(abs_(x) < 0.0004f, x, result);
}

// Natural logarithm of a positive normal number.
CAVS_INLINE VecF log_normal(VecF x, VecF exponent_offset) {
  constexpr int32_t sqrt_half = 0x3f3504f3;
  const MaskF shifted =
      reinterpret_cast<MaskF>(reinterpret_cast<WordsF>(x) + (0x3f800000u - sqrt_half));
  const VecF e = __builtin_convertvector((shifted >> 23) - 127, VecF) + exponent_offset;
  const VecF f =
      float_of((shifted & 0x007fffff) + sqrt_half) - 1.0f;  // in [sqrt(1/2) - 1, sqrt(2) - 1]
  const VecF f2 = f * f;
  const VecF p = polynomial(f, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f,
                            -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                            2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f);
  VecF y = p * f * f2 + e * kLn2Low;
  y = y - 0.5f * f2;
  return (f + y) + e * kLn2High;
}

CAVS_INLINE VecF log_(VecF x) {
  const MaskF subnormal = x < 1.17549435e-38f;
  const VecF scaled = select(subnormal, x * 8388608.0f, x);
  VecF result = log_normal(scaled, select(subnormal, splat(-23.0f), VecF{}));
  const VecF at_most_zero = select(x == 0.0f, splat(-kInfinity), splat(__builtin_nanf("")));
  result = select(x > 0.0f, result, at_most_zero);
  return select(x == kInfinity, x, result);
}

// log(1 + exp(-|x|)): what softplus adds to relu.
CAVS_INLINE VecF log1p_exp_minus_abs(VecF x) {
  const VecF u = exp_(-abs_(x));
  const VecF w = 1.0f + u;
  // w - 1 differs from u by the rounding of w, which the second term makes good (and NaN passes by
  // it).
  return log_normal(w, VecF{}) + (u - (w - 1.0f)) / w;
}

template <class Function>
CAVS_INLINE VecD map_lanes(VecD x, Function function) {
  VecD result;
  for (int i = 0; i < kLanes<double>; ++i) result[i] = function(x[i]);
  return result;
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
CAVS_INLINE VecD sigmoid_(VecD x) { return 1.0 / (1.0 + exp_(-x)); }
CAVS_INLINE VecD log1p_exp_minus_abs(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(__builtin_exp(-__builtin_fabs(v))); });
}

}  // namespace
}  // namespace cavs
