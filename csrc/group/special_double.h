// Functions that neither C's library nor CUDA's has, for lanes V of double that have +, -, *, /,
// comparisons, select, abs_, all<V>, log_, pow_ and sine, which the including file defines first.
#pragma once

namespace cavs {
namespace {

// x less the nearest integer.
template <class V>
CAVS_INLINE V beside_integer_of_double(V x) {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  return select(abs_(x) < 2251799813685248.0, x - ((x + shift) - shift), x - x);
}

// See digamma_ in special_math.h.
template <class V>
CAVS_INLINE V digamma_of_double(V x) {
  constexpr double pi = 3.14159265358979324;
  const V zero = all<V>(0.0f);
  V z = select(x < 0.0, 1.0 - x, x), y = zero;
  for (int i = 0; i < 10; ++i) {
    y = y - select(z < 10.0, 1.0 / z, zero);
    z = select(z < 10.0, z + 1.0, z);
  }
  const V i2 = 1.0 / (z * z);
  V series = i2 * (1.0 / 12) - 691.0 / 32760;
  const double factors[] = {1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12};
  for (const double factor : factors) series = series * i2 + factor;
  y = y + log_(z) - 0.5 / z - series * i2;
  const V rest = beside_integer_of_double(x) * pi;
  const V reflected = y - pi * sine(rest, 1) / sine(rest, 0);
  return select(x < 0.0, select(rest == 0.0, zero / zero, reflected), y);
}

// See zeta_ in special_math.h.
template <class V>
CAVS_INLINE V zeta_of_double(V s, V q) {
  constexpr int terms = 7;
  // B_2j / (2 j)!
  const double factors[terms] = {1.0 / 12,         -1.0 / 720,     1.0 / 30240,
                                 -1.0 / 1209600,   1.0 / 47900160, -691.0 / 1307674368000,
                                 1.0 / 74724249600};
  const V zero = all<V>(0.0f);
  V z = q, y = zero;
  for (int i = 0; i < 10; ++i) {
    y = y + pow_(z, -s);
    z = z + 1.0;
  }
  const V i2 = 1.0 / (z * z);
  V rising = s / z, tail = z / (s - 1.0) + 0.5;
  for (int j = 0; j < terms; ++j) {
    tail = tail + rising * factors[j];
    rising = rising * (s + (2 * j + 1.0)) * (s + (2 * j + 2.0)) * i2;
  }
  const V power = pow_(z, -s);
  y = y + select(power == 0.0, zero, power * tail);
  y = select(q > 0.0, y, select(q == 0.0, 1.0 / zero, zero / zero));
  return select(s > 1.0, y, zero / zero);
}

}  // namespace
}  // namespace cavs
