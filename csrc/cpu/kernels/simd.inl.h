// Vectors of the instruction set that the including file is compiled for, as compiler vector types,
// so that +, *, comparisons and other operators need no intrinsics.
//
// Only isa_generic.cpp, isa_avx2.cpp and isa_avx512.cpp include the *.inl.h files. All definitions
// in them stand in an unnamed namespace, and they use no inline function of any other header: if
// the linker merged the AVX-512 copy of a function with the generic copy, lesser machines would
// crash.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "cpu/kernels/far_sine.h"

#define CAVS_INLINE inline __attribute__((always_inline))

namespace cavs {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Simd;

template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t Mask __attribute__((vector_size(kVectorBytes)));
};

template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t Mask __attribute__((vector_size(kVectorBytes)));
};

template <>
struct Simd<int32_t> {
  typedef int32_t Vector __attribute__((vector_size(kVectorBytes)));
  typedef int32_t Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t Mask __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vec = typename Simd<T>::Vector;
using VecF = Vec<float>;
using VecD = Vec<double>;
using MaskD = Simd<double>::Mask;

template <class T>
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));

template <class T>
CAVS_INLINE Vec<T> load_vector(const T* source) {
  return *reinterpret_cast<const typename Simd<T>::Unaligned*>(source);
}

template <class T>
CAVS_INLINE void store_vector(T* target, Vec<T> value) {
  *reinterpret_cast<typename Simd<T>::Unaligned*>(target) = value;
}

template <class T>
CAVS_INLINE Vec<T> splat(T value) {
  return value - Vec<T>{};  // 0 + value would lose the sign of -0
}

// The same value in every lane, for a vector or any other lane type V of group/scalar_math.h.
template <class V>
CAVS_INLINE V all(float value) {
  return value - V{};
}

// The bits of a vector of floats as integers, which wrap around.
typedef uint32_t WordsF __attribute__((vector_size(kVectorBytes)));

CAVS_INLINE WordsF bits_of(VecF x) { return reinterpret_cast<WordsF>(x); }
CAVS_INLINE VecF float_of(WordsF bits) { return reinterpret_cast<VecF>(bits); }
// Both take the bits as signed integers: shift_right shifts them with their sign, and to_float
// converts them.
CAVS_INLINE WordsF shift_right(WordsF bits, int count) {
  return reinterpret_cast<WordsF>(reinterpret_cast<Simd<int32_t>::Vector>(bits) >> count);
}
CAVS_INLINE VecF to_float(WordsF bits) {
  return __builtin_convertvector(reinterpret_cast<Simd<int32_t>::Vector>(bits), VecF);
}

// The lesser of bound and x, x where x is NaN.
CAVS_INLINE VecF at_most(VecF x, float bound) {
#if defined(__AVX512F__)
  return _mm512_mask_min_ps(x, 0xffff, splat(bound), x);
#elif defined(__AVX2__)
  return _mm256_min_ps(splat(bound), x);
#else
  return x > bound ? splat(bound) : x;
#endif
}

CAVS_INLINE VecF at_least(VecF x, float bound) {
#if defined(__AVX512F__)
  return _mm512_mask_max_ps(x, 0xffff, splat(bound), x);
#elif defined(__AVX2__)
  return _mm256_max_ps(splat(bound), x);
#else
  return x < bound ? splat(bound) : x;
#endif
}

// a * b + c, rounded once where the machine can, whatever the compiler's flags say.
CAVS_INLINE VecF multiply_add(VecF a, VecF b, VecF c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

// c - a * b, rounded in the same way.
CAVS_INLINE VecF subtract_product(VecF c, VecF a, VecF b) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(a, b, c);
#else
  return c - a * b;
#endif
}

CAVS_INLINE VecD multiply_add(VecD a, VecD b, VecD c) { return a * b + c; }
CAVS_INLINE VecD subtract_product(VecD c, VecD a, VecD b) { return c - a * b; }

CAVS_INLINE float infinity() { return __builtin_inff(); }
CAVS_INLINE float not_a_number() { return __builtin_nanf(""); }

// Whether multiply_add rounds once.
#if defined(__FMA__)
constexpr bool kRoundsOnce = true;
#else
constexpr bool kRoundsOnce = false;
#endif

CAVS_INLINE VecF sqrt_(VecF x) {
#if defined(__AVX512F__)
  return _mm512_mask_sqrt_ps(x, 0xffff, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  VecF result;
  for (int i = 0; i < kLanes<float>; ++i) result[i] = __builtin_sqrtf(x[i]);
  return result;
#endif
}

CAVS_INLINE VecD sqrt_(VecD x) {
  VecD result;
  for (int i = 0; i < kLanes<double>; ++i) result[i] = __builtin_sqrt(x[i]);
  return result;
}

CAVS_INLINE VecF abs_(VecF x) { return float_of(bits_of(x) & 0x7fffffffu); }
CAVS_INLINE VecD abs_(VecD x) {
  return reinterpret_cast<VecD>(reinterpret_cast<MaskD>(x) & 0x7fffffffffffffff);
}

// a where the mask is set, else b. A mask is all ones or all zeros in each lane.
template <class V, class M>
CAVS_INLINE V select(M mask, V a, V b) {
  return mask ? a : b;
}

template <class V>
CAVS_INLINE V maximum_(V a, V b) {  // NaN where either is NaN
  return select((a > b) | (a != a), a, b);
}

template <class V>
CAVS_INLINE V minimum_(V a, V b) {
  return select((a < b) | (a != a), a, b);
}

CAVS_INLINE bool any_lane(Simd<float>::Mask mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(mask), reinterpret_cast<__m512i>(mask)) !=
         0;
#elif defined(__AVX2__)
  return _mm256_testz_si256(reinterpret_cast<__m256i>(mask), reinterpret_cast<__m256i>(mask)) == 0;
#else
  int32_t any = 0;
  for (int i = 0; i < kLanes<float>; ++i) any |= mask[i];
  return any != 0;
#endif
}

// The reduction of far_turns() in group/one_lane.h, of kLanes<float> numbers at once, to its bits.
// A plain loop over lanes of 64 bits, which compilers make vectors of; the integer that is left
// becomes a double in two halves, since not all machines convert 64 bits.
CAVS_INLINE void far_turns(const float* x, float* rest, uint32_t* turns) {
  static const uint32_t digits[] = {0,          0x28be60db, 0x9391054a, 0x7f09d5f4, 0x7d4d3770,
                                    0x36d8a566, 0x4f10e410, 0x7f9458ea, 0xf7aef158};
  for (int i = 0; i < kLanes<float>; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const uint32_t exponent = bits >> 23 & 0xff;
    const uint32_t place = (exponent > 150 - 32 ? exponent - (150 - 32) : 0), word = place >> 5;
    const uint32_t by = place & 31;
    const uint64_t first = digits[word], second = digits[word + 1], third = digits[word + 2],
                   last = digits[word + 3];
    const uint64_t from0 = (first << 32 | second) << by >> 32;
    const uint64_t from1 = (second << 32 | third) << by >> 32;
    const uint64_t from2 = (third << 32 | last) << by >> 32;
    const uint64_t mantissa = (bits & 0x007fffff) | 0x00800000;
    const uint64_t fraction =
        (mantissa * from0 << 32) + mantissa * from1 + (mantissa * from2 >> 32);
    const uint64_t quarters = (fraction + (uint64_t{1} << 61)) >> 62;
    const uint64_t left = fraction - (quarters << 62);
    const auto high = static_cast<int32_t>(static_cast<uint32_t>(left >> 32));
    const auto low = static_cast<int32_t>(static_cast<uint32_t>(left) ^ 0x80000000u);
    const double whole = static_cast<double>(high) * 0x1p32 + (static_cast<double>(low) + 0x1p31);
    const auto angle = static_cast<float>(whole * 3.4061215800865546e-19);
    const auto count = static_cast<uint32_t>(quarters);
    rest[i] = x[i] < 0.0f ? -angle : angle;
    turns[i] = x[i] < 0.0f ? 0 - count : count;
  }
}

template <class V, class B>
CAVS_INLINE V sine_of_turns(V r, B turns);

// The sine of x plus `quarter` quarter turns in the lanes of the mask, which are far, else `near`.
// V is VecF: a template, so that a file without sines does not ask for sine_of_turns.
template <class V>
CAVS_INLINE V sine_where_far(Simd<float>::Mask far, V x, V near, int quarter) {
  if (!any_lane(far)) return near;
  if constexpr (kRoundsOnce) {
    alignas(64) float angles[kLanes<float>], rest[kLanes<float>];
    alignas(64) uint32_t turns[kLanes<float>];
    store_vector(angles, x);
    far_turns(angles, rest, turns);
    WordsF count;
    __builtin_memcpy(&count, turns, sizeof(count));
    const V sine = sine_of_turns(load_vector(rest), count + static_cast<uint32_t>(quarter));
    return select(far, select(x - x == 0.0f, sine, splat(not_a_number())), near);
  } else {
    for (int i = 0; i < kLanes<float>; ++i) {
      if (far[i] != 0) near[i] = far_sine(x[i], quarter);
    }
    return near;
  }
}

template <class T>
CAVS_INLINE T sum_lanes(Vec<T> x) {
  typedef T Part __attribute__((vector_size(16)));
  Part parts[kVectorBytes / 16];
  __builtin_memcpy(parts, &x, sizeof(x));
  for (int i = 1; i < kVectorBytes / 16; ++i) parts[0] += parts[i];
  if (sizeof(T) == 8) return parts[0][0] + parts[0][1];
  return (parts[0][0] + parts[0][2 % (16 / sizeof(T))]) +
         (parts[0][1] + parts[0][3 % (16 / sizeof(T))]);
}

template <class T>
CAVS_INLINE T larger(T a, T b) {      // NaN where either is NaN
  return (a > b) | (a != a) ? a : b;  // `||` would keep loops from being vectorised
}

template <class T>
CAVS_INLINE T max_lanes(Vec<T> x) {
  typedef T Part __attribute__((vector_size(16)));
  Part parts[kVectorBytes / 16];
  __builtin_memcpy(parts, &x, sizeof(x));
  for (int i = 1; i < kVectorBytes / 16; ++i) parts[0] = maximum_(parts[i], parts[0]);
  const T first = larger<T>(parts[0][0], parts[0][1]);
  if (sizeof(T) == 8) return first;
  return larger<T>(first,
                   larger<T>(parts[0][2 % (16 / sizeof(T))], parts[0][3 % (16 / sizeof(T))]));
}

// load_lanes reads the first `count` lanes from memory, up to all of them, and puts `fill` into the
// others. keep_lanes keeps the first `count` lanes of a vector and puts zeros into the others.
#if defined(__AVX512F__)
CAVS_INLINE __mmask16 lanes_below(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
CAVS_INLINE VecF load_lanes(const float* source, int64_t count, float fill) {
  return _mm512_mask_loadu_ps(splat(fill), lanes_below(count), source);
}
CAVS_INLINE VecD load_lanes(const double* source, int64_t count, double fill) {
  return _mm512_mask_loadu_pd(splat(fill), static_cast<__mmask8>(lanes_below(count)), source);
}
CAVS_INLINE VecF keep_lanes(VecF x, int64_t count) {
  return _mm512_maskz_mov_ps(lanes_below(count), x);
}
CAVS_INLINE VecD keep_lanes(VecD x, int64_t count) {
  return _mm512_maskz_mov_pd(static_cast<__mmask8>(lanes_below(count)), x);
}
#elif defined(__AVX2__)
CAVS_INLINE __m256i lanes_below(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
CAVS_INLINE __m256i wide_lanes_below(int64_t count) {
  return _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes_below(count)));
}
CAVS_INLINE VecF load_lanes(const float* source, int64_t count, float fill) {
  const __m256i mask = lanes_below(count);
  return _mm256_blendv_ps(splat(fill), _mm256_maskload_ps(source, mask), _mm256_castsi256_ps(mask));
}
CAVS_INLINE VecD load_lanes(const double* source, int64_t count, double fill) {
  const __m256i mask = wide_lanes_below(count);
  return _mm256_blendv_pd(splat(fill), _mm256_maskload_pd(source, mask), _mm256_castsi256_pd(mask));
}
CAVS_INLINE VecF keep_lanes(VecF x, int64_t count) {
  return _mm256_and_ps(x, _mm256_castsi256_ps(lanes_below(count)));
}
CAVS_INLINE VecD keep_lanes(VecD x, int64_t count) {
  return _mm256_and_pd(x, _mm256_castsi256_pd(wide_lanes_below(count)));
}
#else
template <class T>
CAVS_INLINE Vec<T> load_lanes(const T* source, int64_t count, T fill) {
  Vec<T> result = splat(fill);
  for (int64_t i = 0; i < count; ++i) result[i] = source[i];
  return result;
}
template <class V>
CAVS_INLINE V keep_lanes(V x, int64_t count) {
  for (int64_t i = count; i < static_cast<int64_t>(sizeof(V) / sizeof(x[0])); ++i) x[i] = 0;
  return x;
}
#endif

// Stores the first `count` lanes in pieces, because a store under a mask holds up the instructions
// after it.
template <int64_t Piece, class T>
CAVS_INLINE void store_pieces(T* target, const T* lanes, int64_t count) {
  if (count & Piece) __builtin_memcpy(target, lanes, Piece * sizeof(T));
  const int64_t stored = count & Piece;
  if constexpr (Piece > 1) store_pieces<Piece / 2>(target + stored, lanes + stored, count);
}

template <class T>
CAVS_INLINE void store_lanes(T* target, Vec<T> value, int64_t count) {
  T lanes[kLanes<T>];
  __builtin_memcpy(lanes, &value, sizeof(value));
  store_pieces<kLanes<T>>(target, lanes, count);
}

// A number that is known when the kernel is compiled.
template <int64_t N>
struct Fixed {
  static constexpr int64_t value = N;
};

CAVS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
CAVS_INLINE int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }
CAVS_INLINE int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

}  // namespace
}  // namespace cavs
