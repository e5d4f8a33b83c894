// Products of few lines with a weight. A block takes 32 columns of some lines; its warps read the
// weight once, each a chain's terms at a time, all of them at once.
#pragma once

#include "cuda/kernels/products.h"

namespace cavs {
namespace cuda {

constexpr int kFewLines = 8;  // of a block, at most
constexpr int kFewColumns = 32;
constexpr int kFewTerms = kProductWarps * kChain;  // of a round
constexpr int kPieceTerms = 64 / sizeof(Real);     // of a weight that stands transposed
constexpr int kPieceColumns = kFewColumns + 1;     // without conflicts of banks

struct FewShared {
  alignas(16) Real x[kFewLines][kFewTerms];
  Real warp[kProductWarps][kPieceTerms * kPieceColumns];  // a piece of W, then sums of chains
};
static_assert(kPieceTerms * kPieceColumns >= kFewLines * kFewColumns, "room for sums");

// kPieceTerms elements of the lane's column of W, from term `first` on; zeros from `last` on.
__device__ __forceinline__ void load_piece(const Product& p, const Real* w, int column0, int first,
                                           int last, Real* piece, Real* weights) {
  const int lane = threadIdx.x % 32, column = column0 + lane;
  if (p.w.line == 1) {
    for (int t = 0; t < kPieceTerms; ++t) {
      weights[t] = column < p.columns && first + t < last
                       ? w[static_cast<long long>(first + t) * p.w.term + column]
                       : Real(0);
    }
    return;
  }
  __syncwarp();
  for (int i = lane; i < kPieceTerms * kFewColumns; i += 32) {
    const int t = i % kPieceTerms, c = i / kPieceTerms;
    piece[t * kPieceColumns + c] =
        column0 + c < p.columns && first + t < last
            ? w[static_cast<long long>(column0 + c) * p.w.line + (first + t) * p.w.term]
            : Real(0);
  }
  __syncwarp();
  for (int t = 0; t < kPieceTerms; ++t) weights[t] = piece[t * kPieceColumns + lane];
}

// The warp's chain of each line, from term `first` on.
template <int Lines>
__device__ __forceinline__ void few_chains(const Product& p, const Real* w, int column0, int first,
                                           FewShared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int last = min(first + kChain, p.terms);
  Real* const piece = shared.warp[warp];
  Real sums[Lines] = {};
  for (int begin = 0; first + begin < last; begin += kPieceTerms) {
    Real weights[kPieceTerms];
    load_piece(p, w, column0, first + begin, last, piece, weights);
    for (int t = 0; t < kPieceTerms; t += 4) {
      for (int line = 0; line < Lines; ++line) {
        Real x[4];
        load_four(&shared.x[line][warp * kChain + begin + t], x);
        for (int i = 0; i < 4; ++i) sums[line] = add_product(x[i], weights[t + i], sums[line]);
      }
    }
  }
  __syncwarp();
  for (int line = 0; line < Lines; ++line) piece[line * kFewColumns + lane] = sums[line];
}

// Columns from column0 on of `count` lines from line0 on. W is the same for all of them.
template <int Lines>
__device__ __forceinline__ void few_lines(const Product& p, const Real* w, Rows rows, int line0,
                                          int count, int column0, FewShared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool has_line = warp < count;
  const Line at = line_at(p, rows, line0 + (has_line ? warp : 0));
  const bool taken = has_line && takes_row(p, at.row);
  const Real* const source = taken ? source_of(p, at) : nullptr;
  Real total = 0;
  for (int round = 0; round < p.terms; round += kFewTerms) {
    if (warp < Lines) {
      for (int t = lane; t < kFewTerms && round + t < p.terms + kChain; t += 32) {
        shared.x[warp][t] = taken && round + t < p.terms
                                ? source[static_cast<long long>(round + t) * p.x.term]
                                : Real(0);
      }
    }
    __syncthreads();
    if (round + warp * kChain < p.terms) {
      few_chains<Lines>(p, w, column0, round + warp * kChain, shared);
    }
    __syncthreads();
    for (int c = 0; c < kProductWarps && round + c * kChain < p.terms; ++c) {
      if (has_line) total += shared.warp[c][warp * kFewColumns + lane];
    }
  }
  const int column = column0 + lane;
  if (has_line && column < p.columns) {
    target_of(p, at)[static_cast<long long>(column) * p.column] = taken ? total : Real(0);
  }
}

__device__ inline void product_of_few(const Product& p, Rows rows, Team team, FewShared& shared) {
  const Real* const w = static_cast<const Real*>(p.w.data);
  const int lines = (rows.end - rows.begin) * p.lines;
  const int across = (p.columns + kFewColumns - 1) / kFewColumns;
  const int down = (lines + kFewLines - 1) / kFewLines;
  for (int item = team.block; item < across * down; item += team.blocks) {
    const int line0 = item / across * kFewLines, column0 = item % across * kFewColumns;
    const int count = min(kFewLines, lines - line0);
    if (count == 1) {
      few_lines<1>(p, w, rows, line0, count, column0, shared);
    } else if (count <= 4) {
      few_lines<4>(p, w, rows, line0, count, column0, shared);
    } else {
      few_lines<kFewLines>(p, w, rows, line0, count, column0, shared);
    }
  }
}

}  // namespace cuda
}  // namespace cavs
