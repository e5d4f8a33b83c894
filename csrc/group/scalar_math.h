// Transcendental functions: polynomials and rational approximations with an error of a few units in
// the last place, exact at infinities, NaN for NaN. One text serves every lane type V; the
// including file defines the type first. Lanes are vectors that are computed with
// (cpu/kernels/simd.inl.h), symbols that are written down (group/symbol.h), or one float, also on a
// GPU (group/one_lane.h). A lane type has + - * /, comparisons, and
//
//   all<V>(number), select(mask, V, V), at_most(V, bound), at_least(V, bound), maximum_, minimum_,
//   sqrt_, abs_, multiply_add, subtract_product, bits_of, float_of, shift_right, to_float,
//   sine_where_far(mask, x, near, quarter); the floats infinity() and not_a_number(); kRoundsOnce:
//   whether multiply_add rounds once.
//
// A product that is added to a value is written as multiply_add or subtract_product, so that all
// lane types round alike: a compiler may contract other products. The file includes no header,
// because some compilers have none.
#pragma once

namespace cavs {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2High = 0.693359375f;  // few bits: n * kLn2High is exact
constexpr float kLn2Low = -2.12194440e-4f;
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

// The polynomial with these coefficients, the highest power first.
template <class V, class... Coefficients>
CAVS_INLINE V polynomial(V x, float first, Coefficients... rest) {
  V result = all<V>(first);
  ((result = multiply_add(result, x, all<V>(rest))), ...);
  return result;
}

// exp(r) for r within +-ln(2) / 2.
template <class V>
CAVS_INLINE V exp_reduced(V r) {
  return polynomial(r, 1.38145370e-3f, 8.36874645e-3f, 4.16683909e-2f, 1.66665204e-1f,
                    4.99999934e-1f, 1.0f, 1.0f);
}

// 2^exponent for an exponent of -127 (zero) to 128 (infinity).
template <class B>
CAVS_INLINE auto power_of_two(B exponent) {
  return float_of((exponent + 127) << 23);
}

template <class V>
CAVS_INLINE V exp_(V x) {
  const V y = at_most(at_least(x, -104.0f), 89.0f);
  const V shifted = multiply_add(y, all<V>(kLog2E), all<V>(kRoundingShift));
  const V n = shifted - kRoundingShift;
  V r = subtract_product(y, n, all<V>(kLn2High));
  r = subtract_product(r, n, all<V>(kLn2Low));
  // In two steps, because no float holds 2^128 and 2^-150, with which the result is infinite or
  // zero.
  const auto exponent = bits_of(shifted) - 0x4b400000;  // the bits of kRoundingShift
  const auto half = shift_right(exponent, 1);
  return exp_reduced(r) * power_of_two(half) * power_of_two(exponent - half);
}

// 1 / (1 + exp(-x)), where an exponential below 2^-126 does not matter. It is computed from x
// itself, not from -x. The shift that rounds includes the bias of exponents, so one left shift of
// its bits gives 2^n: all other bits leave on the left.
template <class V>
CAVS_INLINE V sigmoid_(V x) {
  constexpr float kShift = kRoundingShift + 127;
  const V y = at_most(at_least(x, -89.0f), 87.0f);
  const V shifted = multiply_add(y, all<V>(-kLog2E), all<V>(kShift));
  const V n = shifted - kShift;
  V r = multiply_add(n, all<V>(kLn2High), y);
  r = multiply_add(n, all<V>(kLn2Low), r);
  const V mantissa = polynomial(r, 1.38145370e-3f, -8.36874645e-3f, 4.16683909e-2f, -1.66665204e-1f,
                                4.99999934e-1f, -1.0f, 1.0f);
  return 1.0f / multiply_add(mantissa, float_of(bits_of(shifted) << 23), all<V>(1.0f));
}

// A rational approximation with equal constant terms, so that small arguments come back as they
// are; it reaches 1 at the bound.
template <class V>
CAVS_INLINE V tanh_(V x) {
  constexpr float bound = kRoundsOnce ? 7.983039379119873f : 7.889113426208496f;
  const V y = at_most(at_least(x, -bound), bound);
  const V y2 = y * y;
  const V p = polynomial(y2, 1.548972505815982e-08f, 2.206700446549803e-05f,
                         3.5816470626741648e-03f, 1.3452862203121185e-01f, 1.0f);
  const V q = polynomial(y2, 8.623755434200575e-07f, 3.427990304771811e-04f,
                         2.6202352717518806e-02f, 4.6786192059516907e-01f, 1.0f);
  const V result = y * p / q;
  if constexpr (kRoundsOnce) {
    return result;
  } else {
    // Where the approximation reaches 1 depends on whether the compiler contracts, so 1 is set
    // here.
    const V one = float_of((bits_of(x) & bits_of(all<V>(-0.0f))) | bits_of(all<V>(1.0f)));
    return select(abs_(x) >= bound, one, result);
  }
}

// log(2^e (1 + f)) - e kLn2High for f within sqrt(1/2) - 1 to sqrt(2) - 1.
template <class V>
CAVS_INLINE V log_beside_exponent(V f, V e) {
  const V f2 = f * f;
  const V p = polynomial(f, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f,
                         -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f, 2.0000714765e-1f,
                         -2.4999993993e-1f, 3.3333331174e-1f);
  const V y = multiply_add(e, all<V>(kLn2Low), p * f * f2);
  return f + subtract_product(y, f2, all<V>(0.5f));
}

template <class V>
CAVS_INLINE V log_of_parts(V f, V e) {
  return multiply_add(e, all<V>(kLn2High), log_beside_exponent(f, e));
}

// A number above zero as 2^e (1 + f), with f as above.
template <class V>
struct Parts {
  V e, f;
};

template <class V>
CAVS_INLINE Parts<V> parts_of_normal(V x, V exponent_offset) {
  constexpr int sqrt_half = 0x3f3504f3;
  const auto shifted = bits_of(x) + (0x3f800000 - sqrt_half);
  const V e = to_float(shift_right(shifted, 23) - 127) + exponent_offset;
  return {e, float_of((shifted & 0x007fffff) + sqrt_half) - 1.0f};
}

template <class V>
CAVS_INLINE Parts<V> parts_of(V x) {
  const auto subnormal = x < 1.17549435e-38f;
  const V scaled = select(subnormal, x * 8388608.0f, x);
  return parts_of_normal(scaled, select(subnormal, all<V>(-23.0f), all<V>(0.0f)));
}

template <class V>
CAVS_INLINE V log_(V x) {
  const Parts<V> parts = parts_of(x);
  V result = log_of_parts(parts.f, parts.e);
  const V at_most_zero = select(x == 0.0f, all<V>(-infinity()), all<V>(not_a_number()));
  result = select(x > 0.0f, result, at_most_zero);
  return select(x == infinity(), x, result);
}

// log(1 + exp(-|x|)): the term that softplus adds to relu.
template <class V>
CAVS_INLINE V log1p_exp_minus_abs(V x) {
  const V u = exp_(-abs_(x));
  const V w = 1.0f + u;
  const Parts<V> parts = parts_of_normal(w, all<V>(0.0f));
  // w - 1 differs from u by the rounding of w. The second term corrects this error, and it passes
  // NaN on.
  return log_of_parts(parts.f, parts.e) + (u - (w - 1.0f)) / w;
}

// a * b, 0 where a is zero even if b is infinite.
template <class V>
CAVS_INLINE V times_unless_zero(V a, V b) {
  return select(a == 0.0f, all<V>(0.0f), a * b);
}

// Giles, "Approximating the erfinv function", GPU Computing Gems 2011: polynomials in
// -log(1 - x^2), one for most of the range and one for its ends.
template <class V>
CAVS_INLINE V erfinv_(V x) {
  const V one = all<V>(1.0f);
  const V w = -log_((one - x) * (one + x));
  const V near =
      polynomial(w - 2.5f, 2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f,
                 0.00021858087f, -0.00125372503f, -0.00417768164f, 0.246640727f, 1.50140941f);
  const V far = polynomial(sqrt_(w) - 3.0f, -0.000200214257f, 0.000100950558f, 0.00134934322f,
                           -0.00367342844f, 0.00573950773f, -0.0076224613f, 0.00943887047f,
                           1.00167406f, 2.83297682f);
  return x * select(abs_(x) == 1.0f, all<V>(infinity()), select(w < 5.0f, near, far));
}

// a * b - product, exactly, for the rounded product of a and b.
template <class V>
CAVS_INLINE V product_error(V a, V b, V product) {
  if constexpr (kRoundsOnce) {
    return multiply_add(a, b, -product);
  } else {
    // Halves of 12 bits, whose products are exact: contracting them changes nothing.
    const V a_high = float_of(bits_of(a) & -4096), b_high = float_of(bits_of(b) & -4096);
    const V a_low = a - a_high, b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
  }
}

// The next integer to a number that is not negative.
template <class V>
CAVS_INLINE V nearest_integer(V x) {
  constexpr float all_integers = 8388608.0f;  // 2^23, from where floats have no fractions
  return select(x < all_integers, (x + all_integers) - all_integers, x);
}

// |a|^b for a finite |a| above zero: 2^(b log2 |a|). Logarithm and product are sums of two floats,
// since the exponential makes a relative error of their absolute one.
template <class V>
CAVS_INLINE V pow_of_positive(V x, V b) {
  const auto [e, f] = parts_of(x);
  // ln(1 + f) = 2 artanh(s) for s = f / (2 + f); `s_low` is what the quotient leaves
  const V d = 2.0f + f, d_low = f - (d - 2.0f);
  const V s = f / d, product = s * d;
  const V s_low = (((f - product) - product_error(s, d, product)) - s * d_low) / d;
  const V s2 = s * s;
  const V series = polynomial(s2, 0.181818182f, 0.222222222f, 0.285714286f, 0.4f, 0.666666667f);
  const V twice = s + s;
  const V beside = multiply_add(s * s2, series, s_low + s_low);
  const V high = twice + beside, low = (twice - high) + beside;
  // The logarithm to base 2 is `sum`, rounded, and `correction`.
  constexpr float log2e_low = 1.92596303e-8f;
  const V scaled_high = high * kLog2E;
  const V scaled_low = multiply_add(
      low, all<V>(kLog2E),
      multiply_add(high, all<V>(log2e_low), product_error(high, all<V>(kLog2E), scaled_high)));
  const V sum = e + scaled_high;
  const V correction = (scaled_high - (sum - e)) + scaled_low;
  const V y = b * sum;
  const V y_low = multiply_add(b, correction, product_error(b, sum, y));
  const V bounded = at_most(at_least(y, -160.0f), 130.0f);
  const V rounded = bounded + kRoundingShift;
  const V n = rounded - kRoundingShift;
  const V within = select(y == bounded, y_low, all<V>(0.0f));  // infinite products have no rest
  const auto exponent = bits_of(rounded) - 0x4b400000;
  const auto first = shift_right(exponent, 1);
  return exp_reduced(((bounded - n) + within) * 0.693147180559945f) * power_of_two(first) *
         power_of_two(exponent - first);
}

// a^b as C's pow: 1 for b = 0 and for a = 1, NaN for a negative a and a fraction b.
template <class V>
CAVS_INLINE V pow_(V a, V b) {
  const V one = all<V>(1.0f), zero = all<V>(0.0f), infinite = all<V>(infinity());
  const V x = abs_(a), exponent = abs_(b);
  V y = pow_of_positive(x, b);
  const V of_zero = select(b > 0.0f, zero, infinite),
          of_infinite = select(b > 0.0f, infinite, zero);
  y = select(x == 0.0f, of_zero, select(x == infinity(), of_infinite, y));
  y = select(x == 1.0f, one, y);
  const V half = 0.5f * exponent;
  const V of_odd = select(a == 0.0f, select(b > 0.0f, a, one / a), select(a < 0.0f, -y, y));
  const V of_integer = select(nearest_integer(half) == half, y, of_odd);
  const V of_fraction = select(a < 0.0f, select(x == infinity(), y, all<V>(not_a_number())), y);
  y = select(nearest_integer(exponent) == exponent, of_integer, of_fraction);
  y = select(a != a, a, select(b != b, b, y));
  return select(a == 1.0f, one, select(b == 0.0f, one, y));
}

}  // namespace
}  // namespace cavs
