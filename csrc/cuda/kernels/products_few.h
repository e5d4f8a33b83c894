// Products of few lines with a weight. A block takes 32 columns of some lines; its warps read the
// weight once, each a chain's terms at a time, all of them at once.
#pragma once

#include "cuda/kernels/products.h"

namespace cavs::cuda {

constexpr int kFewLines = 8;  // of a block, at most
constexpr int kFewColumns = 32;
constexpr int kFewTerms = kProductWarps * kChain;  // of a round
constexpr int kPieceTerms = 64 / sizeof(Real);     // of a weight that stands transposed
constexpr int kPieceRow = kFewColumns + 1;         // without conflicts of banks

struct FewShared {
  alignas(16) Real x[kFewLines][kFewTerms];
  Real warp[kProductWarps][kPieceTerms * kPieceRow];  // a piece of W, then sums of chains
};
static_assert(kPieceTerms * kPieceRow >= kFewLines * kFewColumns, "room for sums");

// A chain of W, from term `first` on, in the registers of a warp: the lane's column where W stands
// by terms, else elements of several columns, for few_chains to share out. All of it is under way
// at once.
__device__ __forceinline__ void load_chain(const Product& p, const Real* w, int column0, int first,
                                           Real (&weights)[kChain]) {
  const int lane = threadIdx.x % 32;
  const bool by_terms = p.w.line == 1;
  for (int i = 0; i < kChain; ++i) {
    const int at = i % kPieceTerms * 32 + lane, piece = i / kPieceTerms * kPieceTerms;
    const int column = column0 + (by_terms ? lane : at / kPieceTerms);
    const int term = first + (by_terms ? i : piece + at % kPieceTerms);
    weights[i] =
        column < p.columns && term < p.terms
            ? w[static_cast<long long>(column) * p.w.line + static_cast<long long>(term) * p.w.term]
            : Real(0);
  }
}

// The warp's chain of each line.
template <int Lines>
__device__ __forceinline__ void few_chains(const Product& p, const Real (&weights)[kChain],
                                           FewShared& shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Real* const piece = shared.warp[warp];
  Real sums[Lines] = {};
  for (int begin = 0; begin < kChain; begin += kPieceTerms) {
    Real own[kPieceTerms];
    for (int t = 0; t < kPieceTerms; ++t) own[t] = weights[begin + t];
    if (p.w.line != 1) {
      __syncwarp();
      for (int i = 0; i < kPieceTerms; ++i) {
        const int at = i * 32 + lane;
        piece[at % kPieceTerms * kPieceRow + at / kPieceTerms] = own[i];
      }
      __syncwarp();
      for (int t = 0; t < kPieceTerms; ++t) own[t] = piece[t * kPieceRow + lane];
    }
    for (int t = 0; t < kPieceTerms; t += 4) {
      for (int line = 0; line < Lines; ++line) {
        Real x[4];
        load_four(&shared.x[line][warp * kChain + begin + t], x);
        for (int i = 0; i < 4; ++i) sums[line] = add_product(x[i], own[t + i], sums[line]);
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
    const int first = round + warp * kChain;
    Real weights[kChain];
    if (first < p.terms) load_chain(p, w, column0, first, weights);
    if (warp < Lines) {
      for (int t = lane; t < kFewTerms && round + t < p.terms + kChain; t += 32) {
        shared.x[warp][t] = taken && round + t < p.terms
                                ? source[static_cast<long long>(round + t) * p.x.term]
                                : Real(0);
      }
    }
    __syncthreads();
    if (first < p.terms) few_chains<Lines>(p, weights, shared);
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

// By as many lines at once as there are.
__device__ inline void few_lines_of(const Product& p, const Real* w, Rows rows, int line0,
                                    int count, int column0, FewShared& shared) {
  if (count == 1) {
    few_lines<1>(p, w, rows, line0, count, column0, shared);
  } else if (count <= 4) {
    few_lines<4>(p, w, rows, line0, count, column0, shared);
  } else {
    few_lines<kFewLines>(p, w, rows, line0, count, column0, shared);
  }
}

__device__ inline void product_of_few(const Product& p, Rows rows, Team team, FewShared& shared) {
  const Real* const w = static_cast<const Real*>(p.w.data);
  const int lines = (rows.end - rows.begin) * p.lines;
  const int across = (p.columns + kFewColumns - 1) / kFewColumns;
  const int down = (lines + kFewLines - 1) / kFewLines;
  for (int item = team.block; item < across * down; item += team.blocks) {
    const int line0 = item / across * kFewLines, column0 = item % across * kFewColumns;
    few_lines_of(p, w, rows, line0, min(kFewLines, lines - line0), column0, shared);
  }
}

}  // namespace cavs::cuda
