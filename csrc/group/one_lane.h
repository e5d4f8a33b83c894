// The lane type of scalar_math.h for one float: in C++, and as text for CUDA's run-time compiler,
// which has no standard headers. Equal bits need a compiler that merges no products with sums
// (-ffp-contract=off, --fmad=false).
#pragma once

#if defined(__CUDACC__)
#define CAVS_INLINE __device__ __forceinline__
#else
#define CAVS_INLINE inline __attribute__((always_inline))
#endif

namespace cavs {
namespace {

template <class V>
CAVS_INLINE V all(float value) {
  return value;
}

#if defined(__CUDACC__)
CAVS_INLINE unsigned bits_of(float x) { return __float_as_uint(x); }
CAVS_INLINE float float_of(unsigned bits) { return __uint_as_float(bits); }
CAVS_INLINE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
CAVS_INLINE float sqrt_(float x) { return sqrtf(x); }
CAVS_INLINE float infinity() { return __int_as_float(0x7f800000); }
CAVS_INLINE float not_a_number() { return __int_as_float(0x7fc00000); }
#else
CAVS_INLINE unsigned bits_of(float x) {
  unsigned bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
CAVS_INLINE float float_of(unsigned bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}
CAVS_INLINE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CAVS_INLINE float sqrt_(float x) { return __builtin_sqrtf(x); }
CAVS_INLINE float infinity() { return __builtin_inff(); }
CAVS_INLINE float not_a_number() { return __builtin_nanf(""); }
#endif

constexpr bool kRoundsOnce = true;
CAVS_INLINE float subtract_product(float c, float a, float b) { return multiply_add(-a, b, c); }
CAVS_INLINE float select(bool mask, float a, float b) { return mask ? a : b; }
CAVS_INLINE float at_most(float x, float bound) { return x > bound ? bound : x; }
CAVS_INLINE float at_least(float x, float bound) { return x < bound ? bound : x; }
CAVS_INLINE float maximum_(float a, float b) { return a > b || a != a ? a : b; }
CAVS_INLINE float minimum_(float a, float b) { return a < b || a != a ? a : b; }
CAVS_INLINE float abs_(float x) { return float_of(bits_of(x) & 0x7fffffffu); }
CAVS_INLINE unsigned shift_right(unsigned bits, int count) {
  return static_cast<unsigned>(static_cast<int>(bits) >> count);
}
CAVS_INLINE float to_float(unsigned bits) { return static_cast<float>(static_cast<int>(bits)); }

// The nearest number of quarter turns in a finite x of at least 2^13, modulo 4, and what is left of
// x. (M. Payne and R. Hanek, "Radian reduction for trigonometric functions", SIGNUM 1983.)
CAVS_INLINE unsigned far_turns(float x, float* rest) {
  // The binary digits of 1 / (2 pi), after 32 zeros.
  const unsigned digits[] = {0,          0x28be60db, 0x9391054a, 0x7f09d5f4, 0x7d4d3770,
                             0x36d8a566, 0x4f10e410, 0x7f9458ea, 0xf7aef158};
  const unsigned bits = bits_of(x);
  // |x| is `mantissa` times 2^(place - 32). Of the digits, these 96 make the fraction of a turn.
  const int place = static_cast<int>(bits >> 23 & 0xff) - 150 + 32, word = place >> 5;
  const auto from = [&](int i) {
    const unsigned long long two =
        static_cast<unsigned long long>(digits[word + i]) << 32 | digits[word + i + 1];
    return (two << (place & 31)) >> 32;
  };
  const unsigned long long mantissa = (bits & 0x007fffff) | 0x00800000;
  const unsigned long long fraction =
      (mantissa * from(0) << 32) + mantissa * from(1) + (mantissa * from(2) >> 32);
  const unsigned quarters = static_cast<unsigned>((fraction + (1ull << 61)) >> 62);
  const auto left =
      static_cast<long long>(fraction - (static_cast<unsigned long long>(quarters) << 62));
  constexpr double radians = 3.4061215800865546e-19;  // 2 pi / 2^64
  const auto angle = static_cast<float>(static_cast<double>(left) * radians);
  *rest = x < 0.0f ? -angle : angle;
  return x < 0.0f ? 0 - quarters : quarters;
}

template <class V, class B>
CAVS_INLINE V sine_of_turns(V r, B turns);

// The sine of x plus `quarter` quarter turns where x is `far`, else `near`.
CAVS_INLINE float sine_where_far(bool far, float x, float near, int quarter) {
  if (!far) return near;
  if (x - x != 0.0f) return not_a_number();
  float rest;
  const unsigned turns = far_turns(x, &rest);
  return sine_of_turns(rest, turns + static_cast<unsigned>(quarter));
}

}  // namespace
}  // namespace cavs
