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

}  // namespace
}  // namespace cavs
