// More functions on lanes, as scalar_math.h writes its own: errors of a few units in the last place
// where nothing else is said, and C's values at infinities, at NaN and at zeros of both signs.
#pragma once

#include "group/scalar_math.h"

namespace cavs {
namespace {

// 2^power times exp(x) for x within -87..0; 0 where that is 2^-127.
template <int power, class V>
CAVS_INLINE V exp_of_negative(V x) {
  constexpr float kShift = kRoundingShift + 127 + power;  // as in sigmoid_
  const V shifted = multiply_add(x, all<V>(kLog2E), all<V>(kShift));
  const V n = shifted - kShift;
  const V r = subtract_product(subtract_product(x, n, all<V>(kLn2High)), n, all<V>(kLn2Low));
  return exp_reduced(r) * float_of(bits_of(shifted) << 23);
}

// The error function in two parts, with N. Juffa's coefficients: up to kErfNear an odd polynomial,
// and beyond what is left to 1, for sizes of x, which has fewer digits where erf is 1.
constexpr float kErfNear = 0.927734375f;

template <class V>
CAVS_INLINE V erf_near(V x) {
  const V p = polynomial(x * x, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f,
                         -3.76125336e-1f, 1.28379166e-1f);
  return multiply_add(p, x, x);
}

template <class V>
CAVS_INLINE V erfc_far(V size) {
  const V t = at_most(size, 8.0f), s = t * t;
  V p = multiply_add(multiply_add(all<V>(-1.72853470e-5f), t, all<V>(3.83197126e-4f)), s,
                     multiply_add(all<V>(-3.88396438e-3f), t, all<V>(2.42546219e-2f)));
  p = multiply_add(p, t, all<V>(-1.06777877e-1f));
  p = multiply_add(p, t, all<V>(-6.34846687e-1f));
  p = multiply_add(p, t, all<V>(-1.28717512e-1f));
  return exp_of_negative<0>(multiply_add(p, t, -t));
}

template <class V>
CAVS_INLINE V erf_(V x) {
  const V size = abs_(x), sign = float_of(bits_of(x) & bits_of(all<V>(-0.0f)));
  const V far = float_of(bits_of(1.0f - erfc_far(size)) | bits_of(sign));
  return select(size > kErfNear, far, erf_near(x));
}

// x times the probability that a normal number is below x, by the polynomials of erf in |x|. Beyond
// the bound the exponential is 0.
template <class V>
CAVS_INLINE V gelu_(V x) {
  const V size = at_most(abs_(x), 12.65f), s = size * size;
  const V q = polynomial(s, -6.59334761e-06f, 0.000110290853f, -0.00118299561f, 0.00997196675f,
                         -0.0664901939f, 0.39894228f);
  const V near = x * multiply_add(q, x, all<V>(0.5f));
  V p = multiply_add(multiply_add(all<V>(-1.52782326e-06f), size, all<V>(4.78996408e-05f)), s,
                     multiply_add(all<V>(-0.000686594388f), size, all<V>(0.00606365548f)));
  p = multiply_add(p, size, all<V>(-0.0377516805f));
  p = multiply_add(p, size, all<V>(-0.317423344f));
  p = multiply_add(p, size, all<V>(-0.798123807f));
  const V beyond = exp_of_negative<-1>(p * size);
  return select(size > 1.3125f, subtract_product(at_least(x, -0.0f), size, beyond), near);
}

// x / (1 + exp(-x)), as sigmoid_ computes it. Numerator and denominator are 2^32 times smaller
// where the exponential would be infinite.
template <class V>
CAVS_INLINE V silu_(V x) {
  constexpr float kShift = kRoundingShift + 127;
  const V low = at_least(x, -110.0f), y = at_most(low, 87.0f);
  const V scale = select(x < -64.0f, all<V>(0x1p-32f), all<V>(1.0f));
  const V shift = multiply_add(scale, all<V>(32.0f), all<V>(kShift - 32));
  const V shifted = multiply_add(y, all<V>(-kLog2E), shift);
  const V n = shifted - shift;
  const V r = multiply_add(n, all<V>(kLn2Low), multiply_add(n, all<V>(kLn2High), y));
  const V mantissa = polynomial(r, 1.38145370e-3f, -8.36874645e-3f, 4.16683909e-2f, -1.66665204e-1f,
                                4.99999934e-1f, -1.0f, 1.0f);
  return low * scale / multiply_add(mantissa, float_of(bits_of(shifted) << 23), scale);
}

// 2^n (exp(r) - 1) + 2^n - 1 with half of 2^n, since no float holds 2^128.
template <class V>
CAVS_INLINE V expm1_(V x) {
  constexpr float kShift = kRoundingShift + 126;
  const V y = at_most(at_least(x, -18.0f), 89.0f);
  const V shifted = multiply_add(y, all<V>(kLog2E), all<V>(kShift));
  const V n = shifted - kShift;
  const V r = subtract_product(subtract_product(y, n, all<V>(kLn2High)), n, all<V>(kLn2Low));
  const V p = polynomial(r, 1.98992851e-4f, 1.39336504e-3f, 8.33329847e-3f, 4.16664649e-2f,
                         1.66666667e-1f, 0.5f);
  const V half = float_of(bits_of(shifted) << 23);
  const V result = multiply_add(multiply_add(p * r, r, r), half, half - 0.5f);
  return select(abs_(x) < 1e-8f, x, result + result);
}

// The logarithm of 1 + x. Its fraction is made of x itself, since the sum is rounded.
template <class V>
CAVS_INLINE V log1p_(V x) {
  constexpr int sqrt_half = 0x3f3504f3;
  const auto shifted = bits_of(1.0f + x) + (0x3f800000 - sqrt_half);
  const auto exponent = shift_right(shifted, 23);
  const V e = to_float(exponent - 127);
  // Four times 2^-e, which is a normal number for every e.
  const V inverse = float_of(bits_of(all<V>(-0.0f)) - (exponent << 23));
  const V f = multiply_add(x * 0.25f, inverse, multiply_add(inverse, all<V>(0.25f), all<V>(-1.0f)));
  V y = log_of_parts(f, e);
  y = select(x == infinity(), x, y);
  y = select(abs_(x) < 1e-8f, x, y);
  const V below = select(x == -1.0f, all<V>(-infinity()), all<V>(not_a_number()));
  return select(x > -1.0f, y, below);
}

// Up to here the multiples of pi / 2 that sine() takes off are exact, with or without fused
// multiply-add.
constexpr float kFarAngle = 10000.0f;

// The sine of r plus `turns` quarter turns, for r within +-pi / 4.
template <class V, class B>
CAVS_INLINE V sine_of_turns(V r, B turns) {
  const V r2 = r * r;
  // A last coefficient of 0 keeps the sign of zero.
  const V sine = multiply_add(
      polynomial(r2, 2.86567956e-6f, -1.98559923e-4f, 8.33338592e-3f, -1.66666672e-1f, 0.0f), r, r);
  const V cosine =
      polynomial(r2, 2.44677067e-5f, -1.38877297e-3f, 4.16666567e-2f, -5.00000000e-1f, 1.0f);
  const auto upper = turns << 30;
  const V y = select(float_of(upper & 0x40000000) == 0.0f, sine, cosine);
  return float_of(bits_of(y) ^ (upper & bits_of(all<V>(-0.0f))));
}

// The sine of x plus `quarter` quarter turns: x less the nearest multiple of pi / 2, which is a sum
// of floats whose products are exact up to kFarAngle, all positive, so that -0 stays. Lanes beyond
// are computed one by one.
template <class V>
CAVS_INLINE V sine(V x, int quarter) {
  const V shifted = multiply_add(x, all<V>(0.636619772367581343f), all<V>(kRoundingShift));
  const V n = shifted - kRoundingShift;
  V r;
  if constexpr (kRoundsOnce) {
    r = subtract_product(x, n, all<V>(1.5707962512969971f));
    r = subtract_product(r, n, all<V>(7.549789415861596e-8f));
    r = subtract_product(r, n, all<V>(5.390302953474238e-15f));
  } else {
    r = x - n * 1.5703125f;
    r = r - n * 4.837512969970703125e-4f;
    r = r - n * 7.549533620476723e-08f;
    r = r - n * 2.5633440682570896e-12f;
  }
  const V near = sine_of_turns(r, bits_of(shifted) + quarter);
  return sine_where_far(abs_(x) > kFarAngle, x, near, quarter);
}

// The sine of pi times x, over pi, for x within +-0.5.
template <class V>
CAVS_INLINE V sine_of_pi(V x) {
  const V p = polynomial(x * x, -0.00225508885f, 0.0261280719f, -0.190750064f, 0.81174237f,
                         -1.64493407f, 0.0f);
  return multiply_add(p, x, x);
}

template <class V>
CAVS_INLINE V cosine_of_pi(V x) {
  return polynomial(x * x, -0.0246275012f, 0.235074563f, -1.33523999f, 4.05871142f, -4.9348022f,
                    1.0f);
}

// x less the nearest integer.
template <class V>
CAVS_INLINE V beside_integer(V x) {
  const V size = abs_(x), rest = size - nearest_integer(size);
  return select(x < 0.0f, -rest, rest);
}

// log gamma of x > 0, and log gamma of |x| for others. In [1, 3] (x - 1)(x - 2) times a polynomial,
// exact at the roots; from below by one step of the recurrence, from 3 to 8 by steps down, whose
// logarithm is added; beyond by Stirling's series.
template <class V>
CAVS_INLINE V lgamma_of_size(V x) {
  V z = at_most(x, 8.0f), product = all<V>(1.0f);
  for (int i = 0; i < 5; ++i) {
    const V down = z - 1.0f;
    product = select(z > 3.0f, product * down, product);
    z = select(z > 3.0f, down, z);
  }
  const V t = select(x < 1.0f, x - 1.0f, z - 2.0f);  // x + 1 would round
  const V series = polynomial(
      t, 4.868949497e-06f, -9.674750603e-06f, 2.267427202e-06f, -7.291270127e-06f, 4.368119641e-05f,
      -9.172311650e-05f, 1.798232335e-04f, -4.019891650e-04f, 9.160979930e-04f, -2.108939722e-03f,
      4.998548566e-03f, -1.238411535e-02f, 3.296500512e-02f, -1.003173038e-01f);
  const Parts<V> parts = parts_of(select(x < 8.0f, select(x < 1.0f, x, product), x));
  const V rest = log_beside_exponent(parts.f, parts.e);
  const V step = multiply_add(parts.e, all<V>(kLn2High), rest);
  const V roots = t * select(x < 1.0f, x, z - 1.0f);
  const V near = multiply_add(roots, all<V>(4.227843351e-01f), roots * t * series) +
                 select(x < 1.0f, -step, step);
  // (x - 1/2) (log(x) - 1) by the parts of the logarithm, whose sum is rounded.
  const V inverse = 1.0f / x, i2 = inverse * inverse, factor = x - 0.5f;
  const V stirling = polynomial(i2, 7.93650794e-4f, -2.77777778e-3f, 8.33333333e-2f);
  V far = multiply_add(stirling, inverse, all<V>(0.418938533204672742f));
  far = multiply_add(factor, rest, far);
  far = multiply_add(factor, multiply_add(parts.e, all<V>(kLn2High), all<V>(-1.0f)), far);
  const V y = select(x < 8.0f, near, far);
  return select(x == 0.0f, all<V>(infinity()), select(x == infinity(), x, y));
}

// Below zero by the reflection: infinite at integers.
template <class V>
CAVS_INLINE V lgamma_(V x) {
  const V size = abs_(x), y = lgamma_of_size(size);
  const V reflected = log_(1.0f / (size * abs_(sine_of_pi(beside_integer(x))))) - y;
  // Close to zero both sides are alike.
  const V below = select(size < 1e-7f, y, select(size < 8388608.0f, reflected, all<V>(infinity())));
  return select(x < 0.0f, below, y);
}

// The derivative of log gamma: four steps up, then its asymptotic series. Below zero by the
// reflection: NaN at integers.
template <class V>
CAVS_INLINE V digamma_(V x) {
  const V positive = select(x < 0.0f, 1.0f - x, x);
  // 1/z + 1/(z+1) + 1/(z+2) + 1/(z+3) as one fraction, with q = z (z + 3) and (z + 1)(z + 2) = q +
  // 2
  const V q = positive * (positive + 3.0f);
  const V more = multiply_add(positive, positive + 3.0f, all<V>(1.0f));
  const V product = multiply_add(positive, positive + 3.0f, all<V>(2.0f));
  const V steps = (positive + 1.5f) * more * 4.0f / (q * product);
  const V z = select(positive < 4.0f, positive + 4.0f, positive);
  const V inverse = 1.0f / z, i2 = inverse * inverse;
  const V series = polynomial(i2, 4.16666667e-3f, -3.96825397e-3f, 8.33333333e-3f, -8.33333333e-2f);
  V y = log_(z) + multiply_add(series, i2, inverse * -0.5f);
  y = select(positive < 4.0f, y - steps, y);
  const V rest = beside_integer(x), sine = sine_of_pi(rest);
  const V reflected = y - cosine_of_pi(rest) / sine;
  const V below = select(rest == 0.0f, all<V>(not_a_number()), reflected);
  return select(x < 0.0f, below, y);
}

// Hurwitz's zeta function, the sum of (q + k)^-s over k = 0, 1, ..., for s > 1 and q > 0: five
// terms, then Euler and Maclaurin's formula. Else NaN.
template <class V>
CAVS_INLINE V zeta_(V order, V q) {
  const V s = at_most(order, 1e30f);
  V z = q, sum = all<V>(0.0f);
  for (int i = 0; i < 5; ++i) {
    // Not by +, which a compiler may merge with the product that a power is.
    sum = multiply_add(pow_of_positive(z, -s), all<V>(1.0f), sum);
    z = z + 1.0f;
  }
  const V inverse = 1.0f / z, i2 = inverse * inverse;
  V tail = subtract_product(all<V>(1.38888889e-3f), (s + 3.0f) * (s + 4.0f) * i2,
                            all<V>(3.30687831e-5f));
  tail = subtract_product(all<V>(8.33333333e-2f), (s + 1.0f) * (s + 2.0f) * i2, tail);
  tail = multiply_add(s * inverse, tail, all<V>(0.5f));
  const V power = pow_of_positive(z, -s);
  const V y = sum + times_unless_zero(power, tail) + power * z / (s - 1.0f);
  const V nan = all<V>(not_a_number());
  const V at_end = select(q == 0.0f, all<V>(infinity()), nan);
  const V above = select(q == infinity(), all<V>(0.0f), y);
  return select(s > 1.0f, select(q > 0.0f, above, at_end), nan);
}

}  // namespace
}  // namespace cavs
