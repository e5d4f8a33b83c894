// Sums over rows: of products of matrices, and of rows themselves. Rows are split into parts in a
// way that depends on their number alone, and parts are summed in order: the same bits in every
// run.
#pragma once

#include "cuda/kernels/products_tile.h"
#include "cuda/kernels/real.h"

namespace cavs::cuda {

// A term of a sum of products is a term of one row's product.
__device__ __forceinline__ const Real* term_of(const Product& p, const Factor& factor,
                                               int first_row, int term) {
  const int row = p.terms == 1 ? first_row + term : first_row + term / p.terms;
  if (!takes_row(p, row)) return nullptr;
  const Real* const matrix = matrix_of(factor, row);
  return p.terms == 1 ? matrix : matrix + static_cast<long long>(term % p.terms) * factor.term;
}

// A term of four lines. Returns whether its row is multiplied.
__device__ __forceinline__ bool load_term(const Product& p, const Factor& factor, int first_row,
                                          int term, int terms, int line, int lines, Real* four) {
  const Real* const source = term < terms ? term_of(p, factor, first_row, term) : nullptr;
  if (source != nullptr && factor.line == 1 && factor.wide != 0 && line + 3 < lines) {
    load_four(source + line, four);
    return true;
  }
  for (int i = 0; i < 4; ++i) {
    four[i] = source != nullptr && line + i < lines
                  ? source[static_cast<long long>(line + i) * factor.line]
                  : Real(0);
  }
  return source != nullptr;
}

// The sum over all rows of X W, dense. `result` is Y, or the parts one after the other.
__device__ inline void sum_of_products(const Product& p, Rows rows, SumParts parts, Real* result,
                                       Team team, TileShared& shared) {
  const int across = (p.columns + kTile - 1) / kTile, down = (p.lines + kTile - 1) / kTile;
  const int tiles = across * down;
  const long long size = static_cast<long long>(p.lines) * p.columns;
  for (int item = team.block; item < tiles * parts.count; item += team.blocks) {
    const int part = item / tiles, tile = item % tiles;
    const int line0 = tile / across * kTile, column0 = tile % across * kTile;
    const int first_row = rows.begin + part * parts.rows;
    const int terms = (min(first_row + parts.rows, rows.end) - first_row) * p.terms;
    const Brings at = brings(false);
    const auto load_x = [&](int first, Real* four) {
      return load_term(p, p.x, first_row, first + at.term, terms, line0 + at.line, p.lines, four);
    };
    const auto load_w = [&](int first, Real* four) {
      load_term(p, p.w, first_row, first + at.term, terms, column0 + at.line, p.columns, four);
    };
    Real sums[4][4] = {};
    tile_sums(terms, false, false, load_x, load_w, shared, sums);
    const int line = line0 + threadIdx.x / 16 * 4, column = column0 + threadIdx.x % 16 * 4;
    for (int i = 0; i < 4 && line + i < p.lines; ++i) {
      Real* const target = result + part * size + static_cast<long long>(line + i) * p.columns;
      if (p.wide != 0 && column + 3 < p.columns) {
        Real before[4] = {};
        if (parts.goes_on != 0) load_four(target + column, before);
        for (int j = 0; j < 4; ++j) sums[i][j] += before[j];
        store_four(target + column, sums[i]);
        continue;
      }
      for (int j = 0; j < 4 && column + j < p.columns; ++j) {
        target[column + j] = parts.goes_on != 0 ? target[column + j] + sums[i][j] : sums[i][j];
      }
    }
  }
}

struct RowSumShared {
  Real sums[kProductWarps][32];
};

// The sum of rows of `size` elements. Warp w of a block sums rows w, w + 8, .. of its part.
__device__ inline void sum_of_rows(const Operand& x, Rows rows, SumParts parts, Real* result,
                                   Team team, RowSumShared& shared) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int across = (x.size + 31) / 32;
  for (int item = team.block; item < across * parts.count; item += team.blocks) {
    const int part = item / across, column = item % across * 32 + lane;
    const int first = rows.begin + part * parts.rows, end = min(first + parts.rows, rows.end);
    Real sum = 0;
    if (column < x.size) {
      const Real* const source = static_cast<const Real*>(x.data) + column;
      for (int row = first + warp; row < end; row += kProductWarps) {
        sum += source[static_cast<long long>(row) * x.ld];
      }
    }
    shared.sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < x.size) {
      for (int w = 1; w < kProductWarps; ++w) sum += shared.sums[w][lane];
      Real* const target = result + static_cast<long long>(part) * x.size + column;
      *target = parts.goes_on != 0 ? *target + sum : sum;
    }
    __syncthreads();
  }
}

// The maximum of all rows; an item is 32 columns.
__device__ inline void maximum_of_rows(const Operand& x, Rows rows, bool goes_on, Real* result,
                                       Team team, RowSumShared& shared) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int across = (x.size + 31) / 32;
  for (int item = team.block; item < across; item += team.blocks) {
    const int column = item * 32 + lane;
    const Real* const source = static_cast<const Real*>(x.data) + column;
    // Warps without a row of their own begin with the first one too.
    Real top = 0;
    if (column < x.size) {
      top = source[static_cast<long long>(rows.begin) * x.ld];
      for (int row = rows.begin + warp; row < rows.end; row += kProductWarps) {
        top = maximum_(top, source[static_cast<long long>(row) * x.ld]);
      }
    }
    shared.sums[warp][lane] = top;
    __syncthreads();
    if (warp == 0 && column < x.size) {
      for (int w = 1; w < kProductWarps; ++w) top = maximum_(top, shared.sums[w][lane]);
      result[column] = goes_on ? maximum_(result[column], top) : top;
    }
    __syncthreads();
  }
}

// The sum of `count` results of `size` elements, in order.
__device__ inline void sum_of_parts(const Real* from, int count, int size, bool goes_on,
                                    Real* result, Team team) {
  for (int i = team.block * kProductThreads + threadIdx.x; i < size;
       i += team.blocks * kProductThreads) {
    Real sum = 0;
    for (int part = 0; part < count; ++part) sum += from[static_cast<long long>(part) * size + i];
    result[i] = goes_on ? result[i] + sum : sum;
  }
}

}  // namespace cavs::cuda
