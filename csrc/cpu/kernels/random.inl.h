// Kernels that draw random numbers, row by row.
#pragma once

#include "cpu/kernels/philox.inl.h"
#include "cpu/kernels/row_ops.inl.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

constexpr uint32_t kWholeGraph = 0xFFFFFFFFu;  // the local index of rows that are graphs,
constexpr uint32_t kWholeBatch = 0xFFFFFFFEu;  // and of what has no rows, which is of graph 0

CAVS_INLINE SampleKey sample_key_of_row(const RandomContext& random, const UniformAttributes& of,
                                        int64_t r) {
  if (of.rows == SampledRows::kBatch) return sample_key(random, of.key, 0, kWholeBatch);
  if (of.rows == SampledRows::kGraph) {
    return sample_key(random, of.key, random.graph_key[r], kWholeGraph);
  }
  const bool vertex = of.rows == SampledRows::kVertex;
  const int32_t *graph = random.vertex_graph, *local = random.vertex_local;
  if (!vertex) {
    graph = random.edges[static_cast<size_t>(of.edges)].graph;
    local = random.edges[static_cast<size_t>(of.edges)].local;
  }
  return sample_key(random, of.key, random.graph_key[graph[r]], static_cast<uint32_t>(local[r]));
}

// x[0] y[0] x[2] y[2] ..
CAVS_INLINE Wide even_lanes(Wide x, Wide y) {
#if defined(__AVX512F__)
  const auto a = reinterpret_cast<__m512i>(x);
  return reinterpret_cast<Wide>(
      _mm512_mask_unpacklo_epi64(a, 0xff, a, reinterpret_cast<__m512i>(y)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(
      _mm256_unpacklo_epi64(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#else
  for (int i = 1; i < kWideLanes; i += 2) x[i] = y[i - 1];
  return x;
#endif
}

// x[1] y[1] x[3] y[3] ..
CAVS_INLINE Wide odd_lanes(Wide x, Wide y) {
#if defined(__AVX512F__)
  const auto a = reinterpret_cast<__m512i>(x);
  return reinterpret_cast<Wide>(
      _mm512_mask_unpackhi_epi64(a, 0xff, a, reinterpret_cast<__m512i>(y)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(
      _mm256_unpackhi_epi64(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#else
  for (int i = 1; i < kWideLanes; i += 2) y[i - 1] = x[i];
  return y;
#endif
}

// The number of each lane's block in the row, so that even_lanes and odd_lanes put the blocks into
// their order.
CAVS_INLINE Wide block_order() {
  Wide order{};
  for (int i = 0; i < kWideLanes; ++i) {
    order[i] = static_cast<uint64_t>(i % 2 == 0 ? i / 2 : kWideLanes / 2 + i / 2);
  }
  return order;
}

// Random words [first, first + N * kWideWords) of a row, in vectors of kLanes<float>.
template <int N>
CAVS_INLINE void philox4x32(const SampleKey& row, int64_t first, WordsF (&words)[2 * N]) {
  Wide a[N], b[N], c[N], d[N];
  for (int i = 0; i < N; ++i) {
    a[i] = block_order() + static_cast<uint32_t>(first / 4 + i * kWideLanes);
    b[i] = all_lanes(row.local);
    c[i] = all_lanes(row.graph);
    d[i] = all_lanes(row.op);
  }
  philox_rounds(row, a, b, c, d);
  for (int i = 0; i < N; ++i) {
    const Wide ab = (a[i] & 0xffffffffu) | b[i] << 32, cd = (c[i] & 0xffffffffu) | d[i] << 32;
    words[2 * i] = reinterpret_cast<WordsF>(even_lanes(ab, cd));
    words[2 * i + 1] = reinterpret_cast<WordsF>(odd_lanes(ab, cd));
  }
}

// The upper 24 bits of each word as numbers k of 0 .. 2^24 - 1, which every T holds exactly.
CAVS_INLINE void numbers_of(WordsF words, VecF (&k)[1]) { k[0] = to_float(words >> 8); }
CAVS_INLINE void numbers_of(WordsF words, VecD (&k)[2]) {
  typedef int32_t Half __attribute__((vector_size(kVectorBytes / 2)));
  Half halves[2];
  words >>= 8;
  __builtin_memcpy(halves, &words, sizeof(words));
  for (int i = 0; i < 2; ++i) k[i] = __builtin_convertvector(halves[i], VecD);
}

// Elements [0, count) of a row, count at most kLanes<T>; the other elements of the vector are 0.
template <class T>
CAVS_INLINE Vec<T> load_part(const T* source, int64_t count) {
  if (count == kLanes<T>) return load_vector(source);
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) return _mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), source);
  if constexpr (sizeof(T) == 8) return _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), source);
#endif
  Vec<T> part{};
  for (int i = 0; i < kLanes<T>; ++i) part[i] = i < count ? source[i] : T(0);
  return part;
}

template <class T>
CAVS_INLINE void store_part(T* target, Vec<T> value, int64_t count) {
  if (count == kLanes<T>) return store_vector(target, value);
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) {
    return _mm512_mask_storeu_ps(target, static_cast<__mmask16>(lanes), value);
  }
  if constexpr (sizeof(T) == 8) {
    return _mm512_mask_storeu_pd(target, static_cast<__mmask8>(lanes), value);
  }
#endif
  for (int i = 0; i < kLanes<T>; ++i) {
    if (i < count) target[i] = value[i];
  }
}

// Draws the numbers [first, n) of a row, at most as many as N chains make; see draw_row.
template <class T, int N, class Take>
CAVS_INLINE void draw_part(const SampleKey& row, int64_t first, int64_t n, const Take& take) {
  constexpr int kParts = sizeof(T) / sizeof(uint32_t);
  WordsF words[2 * N];
  philox4x32<N>(row, first, words);
  int64_t j = first;
  for (int i = 0; i < 2 * N; ++i) {
    Vec<T> k[kParts];
    numbers_of(words[i], k);
    for (int part = 0; part < kParts && j < n; ++part, j += kLanes<T>) {
      take(j, least(kLanes<T>, n - j), k[part]);
    }
  }
}

// Calls take(j, count, k) for a row of n numbers, vector by vector: number j + i is k[i] / 2^24, i
// below count.
template <class T, class Take>
CAVS_INLINE void draw_row(const SampleKey& row, int64_t n, const Take& take) {
  int64_t first = 0;
  for (; n - first > kWideWords; first += 2 * kWideWords) draw_part<T, 2>(row, first, n, take);
  if (first < n) draw_part<T, 1>(row, first, n, take);
}

// y = uniform numbers in [0, 1).
template <class T>
CAVS_INLINE void uniform_row(const SampleKey& row, T* y, int64_t n) {
  draw_row<T>(row, n, [&](int64_t j, int64_t count, Vec<T> k) {
    store_part<T>(y + j, k * static_cast<T>(0x1p-24), count);
  });
}

// Which elements a probability p of zeros keeps: an element with the number k / 2^24 is kept and
// scaled where k >= least.
template <class T>
struct DropoutRule {
  explicit DropoutRule(double p) : scale(p < 1 ? static_cast<T>(1 / (1 - p)) : T(0)) {
    const double bound = p * 0x1p24;
    const auto floor = static_cast<int32_t>(bound);
    least = static_cast<T>(floor + (bound > floor ? 1 : 0));
  }
  T scale, least;
};

// y = x, each element zero or scaled.
template <class T>
CAVS_INLINE void dropout_row(const SampleKey& row, const DropoutRule<T>& rule, const T* x, T* y,
                             int64_t n) {
  draw_row<T>(row, n, [&](int64_t j, int64_t count, Vec<T> k) {
    const Vec<T> value = load_part(x + j, count) * rule.scale;
    store_part<T>(y + j, select(k >= rule.least, value, Vec<T>{}), count);
  });
}

template <class T>
void uniform(const KernelCall& call) {
  const auto& of = attributes_of<UniformAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    uniform_row(sample_key_of_row(*call.random, of, r), row_of<T>(call.out[0], r),
                call.out[0].size);
  }
}

// Drops elements of row r by the numbers of key_of(r).
template <class T, class KeyOf>
CAVS_INLINE void drop(const KernelCall& call, const KeyOf& key_of) {
  if (!call.random->training) {
    copy<T>(call);
    return;
  }
  const DropoutRule<T> rule(attributes_of<DropoutAttributes>(call).rate);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    dropout_row(key_of(r), rule, row_of<T>(call.in[0], r), row_of<T>(call.out[0], r),
                call.out[0].size);
  }
}

template <class T>
void dropout(const KernelCall& call) {
  const auto& of = attributes_of<DropoutAttributes>(call);
  drop<T>(call, [&](int64_t r) { return sample_key_of_row(*call.random, of, r); });
}

// The key of row r with its ids (the operands after the first) in place of vertex and graph: see
// uniform_by_id in cavs/kernels/philox.py.
CAVS_INLINE SampleKey sample_key_of_ids(const KernelCall& call, int64_t r) {
  const auto id = [&](int i) { return static_cast<uint32_t>(*row_of<int32_t>(call.in[i], r)); };
  SampleKey row = sample_key(*call.random, attributes_of<DropoutAttributes>(call).key,
                             call.num_in > 2 ? id(2) : 0, id(1));
  for (int i = 3; i < call.num_in; ++i) {
    WordsF words[2];
    philox4x32<1>(row, int64_t{id(i)} * 4, words);  // the block of this number
    row.local = words[0][0];
    row.graph = words[0][1];
  }
  return row;
}

template <class T>
void dropout_by_id(const KernelCall& call) {
  drop<T>(call, [&](int64_t r) { return sample_key_of_ids(call, r); });
}

}  // namespace
}  // namespace cavs
