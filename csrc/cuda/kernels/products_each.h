// A thread or a warp for each element: of products of small matrices, of which each row has its
// own, and of sums of few terms.
#pragma once

#include "cuda/kernels/products.h"

namespace cavs::cuda {

// Element `number` of all rows' products, columns fastest.
struct Element {
  Line at;
  int column;
};
__device__ __forceinline__ Element element_at(const Product& p, Rows rows, int number) {
  return {line_at(p, rows, number / p.columns), number % p.columns};
}

__device__ inline void product_by_elements(const Product& p, Rows rows, Team team) {
  const int count = (rows.end - rows.begin) * p.lines * p.columns;
  for (int i = team.block * kProductThreads + threadIdx.x; i < count;
       i += team.blocks * kProductThreads) {
    const Element it = element_at(p, rows, i);
    Real total = 0;
    if (takes_row(p, it.at.row)) {
      const Real* const x = source_of(p, it.at);
      const Real* const w =
          matrix_of(p.w, it.at.row) + static_cast<long long>(it.column) * p.w.line;
      for (int first = 0; first < p.terms; first += kChain) {
        const int last = min(first + kChain, p.terms);
        Real chain = 0;
        for (int t = first; t < last; ++t) {
          chain = add_product(x[static_cast<long long>(t) * p.x.term],
                              w[static_cast<long long>(t) * p.w.term], chain);
        }
        total += chain;
      }
    }
    target_of(p, it.at)[static_cast<long long>(it.column) * p.column] = total;
  }
}

// Zeros in the lines of rows that are left out; a warp for each line. Columns stand side by side.
__device__ inline void clear_left_out(const Product& p, Rows rows, Team team) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int count = (rows.end - rows.begin) * p.lines;
  for (int i = team.block * kProductWarps + warp; i < count; i += team.blocks * kProductWarps) {
    const Line at = line_at(p, rows, i);
    if (takes_row(p, at.row)) continue;
    Real* const target = target_of(p, at);
    for (int column = lane; column < p.columns; column += 32) target[column] = 0;
  }
}

// Both factors stand along the terms. Lane l of a warp sums terms l, l + 32, ..; the lanes' sums
// are added in pairs.
__device__ inline void product_by_dots(const Product& p, Rows rows, Team team) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int count = (rows.end - rows.begin) * p.lines * p.columns;
  for (int i = team.block * kProductWarps + warp; i < count; i += team.blocks * kProductWarps) {
    const Element it = element_at(p, rows, i);
    Real total = 0;
    if (takes_row(p, it.at.row)) {
      const Real* const x = source_of(p, it.at);
      const Real* const w =
          matrix_of(p.w, it.at.row) + static_cast<long long>(it.column) * p.w.line;
      for (int t = lane; t < p.terms; t += 32) total = add_product(x[t], w[t], total);
    }
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
    if (lane == 0) target_of(p, it.at)[static_cast<long long>(it.column) * p.column] = total;
  }
}

}  // namespace cavs::cuda
