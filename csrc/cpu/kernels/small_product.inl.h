// Matrix products of few rows or few elements, where a BLAS library's packing costs more than it
// gains.
#pragma once

#include "cpu/isa_table.h"
#include "cpu/kernels/simd.inl.h"

namespace cavs {
namespace {

template <class T>
CAVS_INLINE void put(T* c, T value, bool accumulate) {
  *c = accumulate ? *c + value : value;
}

// Dot products of `Rows` rows of A with `Columns` columns of B, both contiguous along k: the loads
// of one serve the others, and the many sums hide the latency of each.
template <int Rows, int Columns, class T>
void dot_block(const SmallProduct<T>& p, int64_t row, int64_t column) {
  Vec<T> sums[Rows][Columns] = {};
  const T* a = p.a + row * p.a_row;
  const T* b = p.b + column * p.b_column;
  int64_t k = 0;
  for (; k + kLanes<T> <= p.k; k += kLanes<T>) {
    for (int j = 0; j < Columns; ++j) {
      const Vec<T> vector = load_vector(b + j * p.b_column + k);
      for (int i = 0; i < Rows; ++i) sums[i][j] += load_vector(a + i * p.a_row + k) * vector;
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Columns; ++j) {
      T total = sum_lanes<T>(sums[i][j]);
      for (int64_t rest = k; rest < p.k; ++rest) {
        total += a[i * p.a_row + rest] * b[j * p.b_column + rest];
      }
      put(p.c + (row + i) * p.c_row + column + j, total, p.accumulate);
    }
  }
}

template <int Rows, class T>
void dot_rows(const SmallProduct<T>& p, int64_t row) {
  int64_t column = 0;
  for (; column + 4 <= p.n; column += 4) dot_block<Rows, 4>(p, row, column);
  for (; column < p.n; ++column) dot_block<Rows, 1>(p, row, column);
}

// `Rows` rows of C, `Vectors` vectors wide, as sums of B's contiguous rows held in registers.
template <int Rows, int Vectors, class T>
void outer_block(const SmallProduct<T>& p, int64_t row, int64_t column) {
  Vec<T> sums[Rows][Vectors] = {};
  const T* a = p.a + row * p.a_row;
  const T* b = p.b + column;
  for (int64_t k = 0; k < p.k; ++k) {
    for (int j = 0; j < Vectors; ++j) {
      const Vec<T> vector = load_vector(b + k * p.b_row + j * kLanes<T>);
      for (int i = 0; i < Rows; ++i) sums[i][j] += a[i * p.a_row + k * p.a_column] * vector;
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      T* c = p.c + (row + i) * p.c_row + column + j * kLanes<T>;
      store_vector<T>(c, p.accumulate ? load_vector(c) + sums[i][j] : sums[i][j]);
    }
  }
}

template <class T>
void plain_element(const SmallProduct<T>& p, int64_t i, int64_t j) {
  T total = 0;
  for (int64_t k = 0; k < p.k; ++k) {
    total += p.a[i * p.a_row + k * p.a_column] * p.b[k * p.b_row + j * p.b_column];
  }
  put(p.c + i * p.c_row + j, total, p.accumulate);
}

template <int Rows, class T>
void outer_rows(const SmallProduct<T>& p, int64_t row) {
  int64_t column = 0;
  for (; column + 4 * kLanes<T> <= p.n; column += 4 * kLanes<T>)
    outer_block<Rows, 4>(p, row, column);
  for (; column + kLanes<T> <= p.n; column += kLanes<T>) outer_block<Rows, 1>(p, row, column);
  if (column == p.n) return;
  if (!p.accumulate && p.n >= kLanes<T>) {
    outer_block<Rows, 1>(p, row, p.n - kLanes<T>);  // overlaps what is done already
    return;
  }
  for (; column < p.n; ++column) {
    for (int i = 0; i < Rows; ++i) plain_element(p, row + i, column);
  }
}

template <int Rows, class T>
void product_rows(const SmallProduct<T>& p, int64_t row) {
  if (p.b_column == 1) {
    outer_rows<Rows>(p, row);
  } else if (p.a_column == 1 && p.b_row == 1) {
    dot_rows<Rows>(p, row);
  } else {
    for (int i = 0; i < Rows; ++i) {
      for (int64_t j = 0; j < p.n; ++j) plain_element(p, row + i, j);
    }
  }
}

template <class T>
void small_product(const SmallProduct<T>& p) {
  int64_t row = 0;
  for (; row + 3 <= p.m; row += 3) product_rows<3>(p, row);
  if (p.m - row == 2) product_rows<2>(p, row);
  if (p.m - row == 1) product_rows<1>(p, row);
}

}  // namespace
}  // namespace cavs
