// `Real`, the dtype that a module is compiled for (-DCAVS_REAL=float or double), and the scalar
// operations of it: scalar_NAME<Real>(a, b, c). A float goes by the formulas of scalar_math.h, in
// which it has the CPU's bits. A double goes by CUDA's functions, where the CPU takes its own
// library's: see cpu/kernels/double_math.inl.h. These overloads stand before the templates, which
// find them by that alone.
#pragma once

#include "group/one_lane.h"

namespace cavs {
namespace {

using Real = CAVS_REAL;

CAVS_INLINE double multiply_add(double a, double b, double c) { return a * b + c; }
CAVS_INLINE double subtract_product(double c, double a, double b) { return c - a * b; }
CAVS_INLINE double select(bool mask, double a, double b) { return mask ? a : b; }
CAVS_INLINE double maximum_(double a, double b) { return a > b || a != a ? a : b; }
CAVS_INLINE double minimum_(double a, double b) { return a < b || a != a ? a : b; }
CAVS_INLINE double abs_(double x) { return fabs(x); }
CAVS_INLINE double sqrt_(double x) { return sqrt(x); }
CAVS_INLINE double exp_(double x) { return exp(x); }
CAVS_INLINE double log_(double x) { return log(x); }
CAVS_INLINE double tanh_(double x) { return tanh(x); }
CAVS_INLINE double pow_(double a, double b) { return pow(a, b); }
CAVS_INLINE double sine(double x, int quarter) { return quarter == 0 ? sin(x) : cos(x); }
CAVS_INLINE double erf_(double x) { return erf(x); }
CAVS_INLINE double gelu_(double x) {
  return (x < -40 ? -40 : x) * 0.5 * erfc(x * -0.70710678118654752);  // not infinity times 0
}
CAVS_INLINE double silu_(double x) {
  const double low = x < -800 ? -800 : x;  // not infinity times 0
  return low < -30 ? low * exp(low) : low / (1 + exp(-low));
}
CAVS_INLINE double expm1_(double x) { return expm1(x); }
CAVS_INLINE double log1p_(double x) { return log1p(x); }
CAVS_INLINE double lgamma_(double x) { return lgamma(x); }
CAVS_INLINE double sigmoid_(double x) { return 1.0 / (1.0 + exp(-x)); }
CAVS_INLINE double log1p_exp_minus_abs(double x) { return log1p(exp(-fabs(x))); }
// Winitzki's estimate gives two digits. Each Newton step after it doubles the number of digits.
CAVS_INLINE double erfinv_(double x) {
  if (fabs(x) == 1) return x * static_cast<double>(infinity());
  const double l = log((1 - x) * (1 + x)), h = 4.33074675078 + l / 2;
  double y = copysign(sqrt(sqrt(h * h - l / 0.147) - h), x);
  for (int i = 0; i < 4; ++i) y -= (erf(y) - x) * 0.886226925452758014 * exp(y * y);
  return y;
}

}  // namespace
}  // namespace cavs

#include "group/special_double.h"

namespace cavs {
namespace {

CAVS_INLINE double digamma_(double x) { return digamma_of_double(x); }
CAVS_INLINE double zeta_(double s, double q) { return zeta_of_double(s, q); }

}  // namespace
}  // namespace cavs

#include "group/scalar_functions.h"
