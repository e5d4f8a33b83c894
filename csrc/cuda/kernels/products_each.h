// Products of small matrices, one of its own for each row: a thread or a warp for each element.
#pragma once

#include "cuda/kernels/products.h"

namespace cavs {
namespace cuda {

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

}  // namespace cuda
}  // namespace cavs
