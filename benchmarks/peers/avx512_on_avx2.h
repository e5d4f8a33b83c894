// The names of AVX-512 that the limit program uses, over pairs of 256-bit registers, so that it
// compiles unchanged and computes the same on a processor that has AVX2 and FMA only. Include it
// before the program; it is meant for nothing else.
//
// Reciprocals and reciprocal square roots are approximate in both sets, to 14 bits there and to 12
// here; the program refines them by one step of Newton's, which leaves an error of about 1e-7.
#pragma once
#include <immintrin.h>

#define ON_AVX2 static inline __attribute__((always_inline))

// Apart from the functions, so that calls of the program's own `add` and `mul` do not see those.
namespace on_avx2_types {

// Like the vectors of the compiler, these may stand for each other in memory.
struct __attribute__((may_alias)) Doubles {
  __m256d low, high;
};

struct __attribute__((may_alias)) Floats {
  __m256 low, high;
  Floats() = default;
  ON_AVX2 Floats of(__m256 low, __m256 high) {
    Floats v;
    v.low = low;
    v.high = high;
    return v;
  }
  explicit Floats(Doubles x) : low(_mm256_castpd_ps(x.low)), high(_mm256_castpd_ps(x.high)) {}
};

}  // namespace on_avx2_types

namespace on_avx2 {

using on_avx2_types::Doubles;
using on_avx2_types::Floats;

ON_AVX2 Floats load(const float* p) {
  return Floats::of(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
ON_AVX2 void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
ON_AVX2 Floats fill(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return Floats::of(v, v);
}
ON_AVX2 Floats zero() { return Floats::of(_mm256_setzero_ps(), _mm256_setzero_ps()); }
ON_AVX2 Floats list(float a, float b, float c, float d, float e, float f, float g, float h, float i,
                    float j, float k, float l, float m, float n, float o, float p) {
  return Floats::of(_mm256_setr_ps(a, b, c, d, e, f, g, h), _mm256_setr_ps(i, j, k, l, m, n, o, p));
}

ON_AVX2 Floats add(Floats a, Floats b) {
  return Floats::of(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}
ON_AVX2 Floats sub(Floats a, Floats b) {
  return Floats::of(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}
ON_AVX2 Floats mul(Floats a, Floats b) {
  return Floats::of(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}
ON_AVX2 Floats div(Floats a, Floats b) {
  return Floats::of(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}
ON_AVX2 Floats min(Floats a, Floats b) {
  return Floats::of(_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high));
}
ON_AVX2 Floats max(Floats a, Floats b) {
  return Floats::of(_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high));
}
ON_AVX2 Floats fmadd(Floats a, Floats b, Floats c) {
  return Floats::of(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}
ON_AVX2 Floats fnmadd(Floats a, Floats b, Floats c) {
  return Floats::of(_mm256_fnmadd_ps(a.low, b.low, c.low),
                    _mm256_fnmadd_ps(a.high, b.high, c.high));
}
ON_AVX2 Floats sqrt(Floats x) { return Floats::of(_mm256_sqrt_ps(x.low), _mm256_sqrt_ps(x.high)); }
ON_AVX2 Floats rcp(Floats x) { return Floats::of(_mm256_rcp_ps(x.low), _mm256_rcp_ps(x.high)); }
ON_AVX2 Floats rsqrt(Floats x) {
  return Floats::of(_mm256_rsqrt_ps(x.low), _mm256_rsqrt_ps(x.high));
}

// To whole numbers: `mode` is that of vrndscaleps with no digits after the point.
template <int mode>
ON_AVX2 Floats round(Floats x) {
  static_assert(mode == 8, "only rounding to nearest, no exceptions, is wanted here");
  return Floats::of(_mm256_round_ps(x.low, mode), _mm256_round_ps(x.high, mode));
}

// x 2^n for whole n of -126 .. 127, which is where the program's exponential stays.
ON_AVX2 __m256 scale(__m256 x, __m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
ON_AVX2 Floats scale(Floats x, Floats n) {
  return Floats::of(scale(x.low, n.low), scale(x.high, n.high));
}

ON_AVX2 float sum(Floats x) {
  const __m256 v = _mm256_add_ps(x.low, x.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

ON_AVX2 Floats unpack_low(Floats a, Floats b) {
  return Floats::of(_mm256_unpacklo_ps(a.low, b.low), _mm256_unpacklo_ps(a.high, b.high));
}
ON_AVX2 Floats unpack_high(Floats a, Floats b) {
  return Floats::of(_mm256_unpackhi_ps(a.low, b.low), _mm256_unpackhi_ps(a.high, b.high));
}
ON_AVX2 Doubles unpack_low(Doubles a, Doubles b) {
  return {_mm256_unpacklo_pd(a.low, b.low), _mm256_unpacklo_pd(a.high, b.high)};
}
ON_AVX2 Doubles unpack_high(Doubles a, Doubles b) {
  return {_mm256_unpackhi_pd(a.low, b.low), _mm256_unpackhi_pd(a.high, b.high)};
}

// Quarters of a, then of b: two bits of `picks` for each quarter of the result.
template <int picks>
ON_AVX2 Floats quarters(Floats a, Floats b) {
  constexpr int low = (picks & 3) | (picks >> 2 & 3) << 4;
  constexpr int high = (picks >> 4 & 3) | (picks >> 6 & 3) << 4;
  return Floats::of(_mm256_permute2f128_ps(a.low, a.high, low),
                    _mm256_permute2f128_ps(b.low, b.high, high));
}

}  // namespace on_avx2

#undef _mm512_setr_ps
#undef _mm512_roundscale_ps
#undef _mm512_shuffle_f32x4
#define __m512 on_avx2::Floats
#define __m512d on_avx2::Doubles
#define _mm512_loadu_ps on_avx2::load
#define _mm512_storeu_ps on_avx2::store
#define _mm512_set1_ps on_avx2::fill
#define _mm512_setr_ps on_avx2::list
#define _mm512_setzero_ps on_avx2::zero
#define _mm512_add_ps on_avx2::add
#define _mm512_sub_ps on_avx2::sub
#define _mm512_mul_ps on_avx2::mul
#define _mm512_div_ps on_avx2::div
#define _mm512_min_ps on_avx2::min
#define _mm512_max_ps on_avx2::max
#define _mm512_fmadd_ps on_avx2::fmadd
#define _mm512_fnmadd_ps on_avx2::fnmadd
#define _mm512_sqrt_ps on_avx2::sqrt
#define _mm512_rcp14_ps on_avx2::rcp
#define _mm512_rsqrt14_ps on_avx2::rsqrt
#define _mm512_roundscale_ps(x, mode) on_avx2::round<mode>(x)
#define _mm512_scalef_ps on_avx2::scale
#define _mm512_reduce_add_ps on_avx2::sum
#define _mm512_unpacklo_ps on_avx2::unpack_low
#define _mm512_unpackhi_ps on_avx2::unpack_high
#define _mm512_unpacklo_pd on_avx2::unpack_low
#define _mm512_unpackhi_pd on_avx2::unpack_high
#define _mm512_shuffle_f32x4(a, b, picks) on_avx2::quarters<picks>(a, b)
