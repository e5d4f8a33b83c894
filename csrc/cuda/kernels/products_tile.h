// Products by tiles of 64 x 64 elements: both factors go through shared memory, the next terms are
// read while those at hand are multiplied, and each thread has 4 x 4 elements in registers.
#pragma once

#include "cuda/kernels/products.h"

namespace cavs::cuda {

constexpr int kTile = 64, kTileDepth = 16;
constexpr int kTileRow = kTile + 4;  // whole vectors, and few conflicts of banks

struct TileShared {
  alignas(16) Real x[2][kTileDepth][kTileRow];
  alignas(16) Real w[2][kTileDepth][kTileRow];
  const Real* source[kTile];  // of the lines of X; null for those that are left out
};

// The elements that a thread brings: four terms of a line, or a term of four lines.
struct Brings {
  int line, term;
};
__device__ __forceinline__ Brings brings(bool terms) {
  const int i = threadIdx.x;
  return terms ? Brings{i / (kTileDepth / 4), i % (kTileDepth / 4) * 4}
               : Brings{i % (kTile / 4) * 4, i / (kTile / 4)};
}

__device__ __forceinline__ void put_in_tile(Real (*tile)[kTileRow], bool terms, const Real* four) {
  const Brings at = brings(terms);
  if (terms) {
    for (int i = 0; i < 4; ++i) tile[at.term + i][at.line] = four[i];
  } else {
    store_four(&tile[at.term][at.line], four);
  }
}

// Sums of the thread's elements. load_x(first, four) brings four elements of X, as
// brings(x_terms) says, from term `first` on, and returns whether there are any but zeros;
// load_w(first, four) brings W's.
template <class LoadX, class LoadW>
__device__ __forceinline__ void tile_sums(int terms, bool x_terms, bool w_terms, LoadX load_x,
                                          LoadW load_w, TileShared& shared, Real (&sums)[4][4]) {
  const int line = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
  Real chains[4][4] = {};
  Real next_x[4], next_w[4];
  if (terms <= 0) return;
  bool brought = load_x(0, next_x);
  load_w(0, next_w);
  put_in_tile(shared.x[0], x_terms, next_x);
  put_in_tile(shared.w[0], w_terms, next_w);
  bool any = __syncthreads_or(brought ? 1 : 0) != 0;
  int half = 0;
  for (int first = 0; first < terms; first += kTileDepth, half ^= 1) {
    const bool more = first + kTileDepth < terms;
    if (more) {
      brought = load_x(first + kTileDepth, next_x);
      load_w(first + kTileDepth, next_w);
    }
    for (int t = 0; any && t < kTileDepth; ++t) {
      Real x[4], w[4];
      load_four(&shared.x[half][t][line], x);
      load_four(&shared.w[half][t][column], w);
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) chains[i][j] = add_product(x[i], w[j], chains[i][j]);
      }
    }
    if (!more || (first + kTileDepth) % kChain == 0) {
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
          sums[i][j] += chains[i][j];
          chains[i][j] = 0;
        }
      }
    }
    if (more) {
      put_in_tile(shared.x[half ^ 1], x_terms, next_x);
      put_in_tile(shared.w[half ^ 1], w_terms, next_w);
    }
    any = __syncthreads_or(brought ? 1 : 0) != 0;
  }
}

// Brings of a factor that stands in memory as Factor says; from(line) is where a line of the tile
// begins, null where there is none. `joined`: its lines follow each other in memory.
template <class From>
__device__ __forceinline__ void load_lines(const Factor& factor, bool joined, From from, int first,
                                           int terms, Real* four) {
  const bool along = factor.term == 1;
  const Brings at = brings(along);
  const int term = first + at.term;
  const Real* const source = from(at.line);
  const long long offset = static_cast<long long>(term) * factor.term;
  if (along) {
    if (source != nullptr && factor.wide != 0 && term + 3 < terms) {
      load_four(source + offset, four);
      return;
    }
    for (int i = 0; i < 4; ++i) {
      four[i] = source != nullptr && term + i < terms ? source[offset + i] : Real(0);
    }
    return;
  }
  if (joined && factor.wide != 0 && term < terms && from(at.line + 3) != nullptr) {
    load_four(source + offset, four);
    return;
  }
  for (int i = 0; i < 4; ++i) {
    const Real* const one = from(at.line + i);
    four[i] = one != nullptr && term < terms ? one[offset] : Real(0);
  }
}

// The tile from line0 and column0 on, of lines before `end`, which all read this W.
__device__ __forceinline__ void product_tile(const Product& p, const Real* w, Rows rows, int line0,
                                             int end, int column0, TileShared& shared) {
  __syncthreads();  // the sources of the tile before are no longer read
  int taken = 0;
  if (threadIdx.x < kTile) {
    const int number = line0 + threadIdx.x;
    const Real* source = nullptr;
    if (number < end) {
      const Line at = line_at(p, rows, number);
      if (takes_row(p, at.row)) source = source_of(p, at);
    }
    shared.source[threadIdx.x] = source;
    taken = source != nullptr ? 1 : 0;
  }
  const bool any = __syncthreads_or(taken) != 0;
  const auto from_x = [&](int line) { return shared.source[line]; };
  const auto from_w = [&](int column) -> const Real* {
    return column0 + column < p.columns ? w + static_cast<long long>(column0 + column) * p.w.line
                                        : nullptr;
  };
  const auto load_x = [&](int first, Real* four) {
    load_lines(p.x, false, from_x, first, p.terms, four);
    return true;
  };
  const auto load_w = [&](int first, Real* four) {
    load_lines(p.w, true, from_w, first, p.terms, four);
  };
  Real sums[4][4] = {};
  if (any) tile_sums(p.terms, p.x.term == 1, p.w.term == 1, load_x, load_w, shared, sums);
  const int first = threadIdx.x / 16 * 4, column = column0 + threadIdx.x % 16 * 4;
  for (int i = 0; i < 4; ++i) {
    const int number = line0 + first + i;
    if (number >= end) break;
    Real* const target = target_of(p, line_at(p, rows, number));
    if (shared.source[first + i] == nullptr) {
      for (int j = 0; j < 4; ++j) sums[i][j] = 0;
    }
    if (p.wide != 0 && column + 3 < p.columns) {
      store_four(target + column, sums[i]);
      continue;
    }
    for (int j = 0; j < 4 && column + j < p.columns; ++j) {
      target[static_cast<long long>(column + j) * p.column] = sums[i][j];
    }
  }
}

// Rows with a weight: a tile takes lines of any rows.
__device__ inline void product_by_tiles(const Product& p, Rows rows, Team team,
                                        TileShared& shared) {
  const Real* const w = static_cast<const Real*>(p.w.data);
  const int lines = (rows.end - rows.begin) * p.lines;
  const int across = (p.columns + kTile - 1) / kTile, down = (lines + kTile - 1) / kTile;
  for (int item = team.block; item < across * down; item += team.blocks) {
    product_tile(p, w, rows, item / across * kTile, lines, item % across * kTile, shared);
  }
}

// A matrix of its own for each row: a tile takes lines of one row.
__device__ inline void products_by_tiles(const Product& p, Rows rows, Team team,
                                         TileShared& shared) {
  const int across = (p.columns + kTile - 1) / kTile, down = (p.lines + kTile - 1) / kTile;
  const int tiles = across * down;
  for (int item = team.block; item < tiles * (rows.end - rows.begin); item += team.blocks) {
    const int number = item / tiles, tile = item % tiles, row = rows.begin + number;
    const Real* const w = takes_row(p, row) ? matrix_of(p.w, row) : nullptr;
    product_tile(p, w, rows, number * p.lines + tile / across * kTile, (number + 1) * p.lines,
                 tile % across * kTile, shared);
  }
}

}  // namespace cavs::cuda
