// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
// counter-based generator, so that a sample depends on its key and counter alone.
// cavs/execution/philox.py defines the same numbers in NumPy.
#pragma once

#include "cpu/kernels/simd.inl.h"
#include "runtime/random_context.h"

namespace cavs {
namespace {

// The parts of the generator's key and counter that are the same for all numbers of a row. The
// place of a number in the row is the other part.
struct SampleKey {
  uint32_t key[2];  // seed, step and the upper half of the graph's key
  uint32_t local, graph, op;
};

// Row `local` (a vertex or an edge) of the graph whose key is `graph_key`, for operation `op`.
CAVS_INLINE SampleKey sample_key(const RandomContext& random, uint32_t op, int64_t graph_key,
                                 uint32_t local) {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  const auto graph = static_cast<uint64_t>(graph_key);
  return {{low(random.seed) ^ (low(random.step) * 0x9E3779B9u),
           high(random.seed) ^ (high(graph) + high(random.step) * 0xBB67AE85u)},
          local,
          low(graph),
          op};
}

// Words of 32 bits in the lower halves of lanes of 64, which hold the whole product of two words.
// The content of the upper halves does not matter.
typedef uint64_t Wide __attribute__((vector_size(kVectorBytes)));
constexpr int kWideLanes = kVectorBytes / 8;
constexpr int64_t kWideWords = 4 * kWideLanes;  // a lane makes a block of four words

CAVS_INLINE Wide all_lanes(uint32_t word) { return word - Wide{}; }

// The products of the lower halves. For AVX-512 the masked forms are used: the definitions of the
// others leave an operand undefined, and compilers warn of that.
CAVS_INLINE Wide multiply_words(Wide x, Wide y) {
#if defined(__AVX512F__)
  const auto a = reinterpret_cast<__m512i>(x);
  return reinterpret_cast<Wide>(_mm512_mask_mul_epu32(a, 0xff, a, reinterpret_cast<__m512i>(y)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#elif defined(__SSE2__)
  return reinterpret_cast<Wide>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(y)));
#else
  return (x & 0xffffffffu) * (y & 0xffffffffu);
#endif
}

// Turns the counters of blocks, word by word, into random words. N chains of rounds run side by
// side, because a round waits for the one before it.
template <int N>
CAVS_INLINE void philox_rounds(const SampleKey& row, Wide (&a)[N], Wide (&b)[N], Wide (&c)[N],
                               Wide (&d)[N]) {
  Wide key0 = all_lanes(row.key[0]), key1 = all_lanes(row.key[1]);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < N; ++i) {
      const Wide even = multiply_words(a[i], all_lanes(0xD2511F53u));
      const Wide odd = multiply_words(c[i], all_lanes(0xCD9E8D57u));
      a[i] = (odd >> 32) ^ b[i] ^ key0;
      b[i] = odd;
      c[i] = (even >> 32) ^ d[i] ^ key1;
      d[i] = even;
    }
    key0 += all_lanes(0x9E3779B9u);
    key1 += all_lanes(0xBB67AE85u);
  }
}

}  // namespace
}  // namespace cavs
