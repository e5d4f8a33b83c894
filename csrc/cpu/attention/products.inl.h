// Products of small matrices that stand in rows, by tiles whose sums stay in registers.
#pragma once

#include "cpu/kernels/packed_product.inl.h"

namespace cavs {
namespace {

// C (+)= A B for a tile of `Rows` by `Vectors`; element (i, l) of A is a[i * a_row + l * a_column].
template <int Rows, int Vectors, class T>
CAVS_INLINE void tile(int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b,
                      int64_t b_row, T* c, int64_t c_row, bool add) {
  Vec<T> sums[Rows][Vectors] = {};
  for (int64_t l = 0; l < k; ++l) {
    Vec<T> line[Vectors];
    for (int j = 0; j < Vectors; ++j) line[j] = load_vector(b + l * b_row + j * kLanes<T>);
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> element = splat(a[i * a_row + l * a_column]);
      for (int j = 0; j < Vectors; ++j) sums[i][j] += element * line[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      T* target = c + i * c_row + j * kLanes<T>;
      store_vector<T>(target, add ? load_vector(target) + sums[i][j] : sums[i][j]);
    }
  }
}

template <int Rows, int Vectors, class T>
void tile_of(int64_t rows, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b,
             int64_t b_row, T* c, int64_t c_row, bool add) {
  if constexpr (Rows > 1) {
    if (rows < Rows) {
      return tile_of<Rows - 1, Vectors>(rows, k, a, a_row, a_column, b, b_row, c, c_row, add);
    }
  }
  tile<Rows, Vectors>(k, a, a_row, a_column, b, b_row, c, c_row, add);
}

// Up to kTileRows rows and all `size` columns of C, a multiple of the vector.
template <class T>
void product(int64_t rows, int64_t size, int64_t k, const T* a, int64_t a_row, int64_t a_column,
             const T* b, int64_t b_row, T* c, int64_t c_row, bool add) {
  int64_t j = 0;
  for (; j + kPanelColumns<T> <= size; j += kPanelColumns<T>) {
    tile_of<kTileRows, kTileVectors>(rows, k, a, a_row, a_column, b + j, b_row, c + j, c_row, add);
  }
  if (j < size) {
    tile_of<kTileRows, 1>(rows, k, a, a_row, a_column, b + j, b_row, c + j, c_row, add);
  }
}

// `count` rows of `size` elements as panels: panel p holds element l of the rows from p *
// kPanelColumns on side by side, zeros where there are no more.
template <class T>
void pack_panels(const T* rows, int64_t step, int64_t count, int64_t size, T* panels) {
  constexpr int64_t width = kPanelColumns<T>;
  for (int64_t p = 0; p < count; p += width, panels += size * width) {
    const int64_t columns = least(width, count - p);
    if (columns < width) fill_row(panels, T(0), size * width);
    pack_transposed(rows + p * step, step, size, columns, panels, width);
  }
}

}  // namespace
}  // namespace cavs
