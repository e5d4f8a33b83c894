// The limit program's two micro-kernels for processors with 16 registers of 256 bits. Its own tiles
// of 8 x 48 need 24 registers of 512 bits: over pairs of 256 bits they live in memory, at a tenth
// of the speed. Include this after avx512_on_avx2.h and before the program, whose definitions of
// `ukr`, `ukt` and `MRX` are set aside under other names while its calls find these. Operands,
// packing and results are the same.
#pragma once
#include <immintrin.h>

namespace tiles_avx2 {

// In a register from here on: the compiler would rather load it for each use.
ON_AVX2 __m256 kept(__m256 x) {
  __asm__("" : "+x"(x));
  return x;
}

// c[i][j] += a[i * row_a] * b[8 j ..]
template <int rows, int columns, int row_a>
ON_AVX2 void accumulate_one(const float* a, const float* b, __m256 (&c)[rows][columns]) {
  if constexpr (rows < columns) {
    __m256 left[rows];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) left[i] = kept(_mm256_broadcast_ss(a + i * row_a));
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) {
      const __m256 right = kept(_mm256_loadu_ps(b + 8 * j));
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) c[i][j] = _mm256_fmadd_ps(left[i], right, c[i][j]);
    }
  } else {
    __m256 right[columns];
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) right[j] = kept(_mm256_loadu_ps(b + 8 * j));
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const __m256 left = _mm256_broadcast_ss(a + i * row_a);
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) c[i][j] = _mm256_fmadd_ps(left, right[j], c[i][j]);
    }
  }
}

// c[i][j] += sum over k of a[i * row_a + k * step_a] * b[k * row_b + 8 j ..]
template <int rows, int columns, int row_a, int step_a, int row_b>
ON_AVX2 void accumulate(const float* a, const float* b, int count, __m256 (&c)[rows][columns]) {
  int k = 0;
  // Up to six sums are too few to hide the latency of a multiply-add: twice as many then.
  if constexpr (rows * columns <= 6) {
    __m256 odd[rows][columns] = {};
    for (; k + 1 < count; k += 2, a += 2 * step_a, b += 2 * row_b) {
      accumulate_one<rows, columns, row_a>(a, b, c);
      accumulate_one<rows, columns, row_a>(a + step_a, b + row_b, odd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) c[i][j] = _mm256_add_ps(c[i][j], odd[i][j]);
    }
  }
  for (; k < count; ++k, a += step_a, b += row_b) accumulate_one<rows, columns, row_a>(a, b, c);
}

// Accumulators of a tile: as many as leave registers for the operands.
constexpr int tile_columns(int rows, int all) {
  return rows <= 2 ? all : rows == 3 && all == 4 ? 4 : rows <= 4 && all == 6 ? 3 : 2;
}
constexpr int tile_rows(int rows, int all) {
  const int most = all == 6 ? 4 : 6;
  const int tiles = (rows + most - 1) / most;
  return (rows + tiles - 1) / tiles;
}

// Rows of columns [column, column + columns) of a product of `width` columns, tile by tile.
// Product: how a tile's operands are walked; see Rows and Packed.
template <int rows, int columns, int width, class Product>
ON_AVX2 void down(const Product& product, int row, int column, const float* from, float* to) {
  constexpr int height = tile_rows(rows, width / 8);
  __m256 c[height][columns];
#pragma GCC unroll 8
  for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) {
      const int place = (row + i) * width + column + 8 * j;
      c[i][j] = from ? _mm256_loadu_ps(from + place) : _mm256_setzero_ps();
    }
  }
  product(row, column, c);
#pragma GCC unroll 8
  for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) {
      _mm256_storeu_ps(to + (row + i) * width + column + 8 * j, c[i][j]);
    }
  }
  if constexpr (rows > height) {
    down<rows - height, columns, width>(product, row + height, column, from, to);
  }
}

template <int rows, int width, class Product>
ON_AVX2 void across(const Product& product, const float* from, float* to) {
  constexpr int columns = tile_columns(tile_rows(rows, width / 8), width / 8);
  for (int column = 0; column < width; column += 8 * columns) {
    down<rows, columns, width>(product, 0, column, from, to);
  }
}

// Rows of A as they stand, over segments of its columns.
template <int row_a, int width>
struct Rows {
  const float* a;
  const int* segments;
  int count;
  const float* b;

  template <int rows, int columns>
  inline __attribute__((always_inline)) void operator()(int row, int column,
                                                        __m256 (&c)[rows][columns]) const {
    const float* right = b + column;
    for (int s = 0; s < count; ++s) {
      const float* left = a + row * row_a + segments[2 * s];
      accumulate<rows, columns, row_a, 1, width>(left, right, segments[2 * s + 1], c);
      right += segments[2 * s + 1] * width;
    }
  }
};

// A packed by columns of `height` rows.
template <int height, int width>
struct Packed {
  const float* a;
  const float* b;
  int count;

  template <int rows, int columns>
  inline __attribute__((always_inline)) void operator()(int row, int column,
                                                        __m256 (&c)[rows][columns]) const {
    accumulate<rows, columns, 1, height, width>(a + row, b + column, count, c);
  }
};

}  // namespace tiles_avx2

template <int NV>
constexpr int MRX() {
  return 12;
}
template <int NV>
constexpr int MRT();

template <int MR, int NV, int LDA>
__attribute__((noinline)) static void ukr(const float* a, const int* segments, int count,
                                          const float* b, float* to) {
  const tiles_avx2::Rows<LDA, 16 * NV> product{a, segments, count, b};
  tiles_avx2::across<MR, 16 * NV>(product, nullptr, to);
}
template <int MR, int NV>
__attribute__((noinline)) static void ukt(const float* a, const float* b, int count,
                                          const float* from, float* to) {
  const tiles_avx2::Packed<MRT<NV>(), 16 * NV> product{a, b, count};
  tiles_avx2::across<MR, 16 * NV>(product, from, to);
}

// A call with template arguments has no parenthesis after the name, a definition has: so these
// rename definitions alone.
#define ukr(...) ukr_for_32_registers(__VA_ARGS__)
#define ukt(...) ukt_for_32_registers(__VA_ARGS__)
#define MRX(...) most_rows_for_32_registers(__VA_ARGS__)

// The only assembly in the program measures the peak of 512-bit registers, which its own `main`
// prints.
#define asm \
  if (false) asm
