// What the kernels of products share.
//
// Order of sums: an element of a product is a sum of chains; each chain is kChain terms long,
// begins at zero and goes on by fma. All kernels of rows with a weight keep to it, so that the bits
// of a row do not depend on which of them computes it, and so not on how many rows there are.
#pragma once

#include "cuda/kernels/products_call.h"
#include "cuda/kernels/team.h"

namespace cavs::cuda {

using Real = CAVS_REAL;

constexpr int kChain = 32;
constexpr int kProductThreads = 256, kProductWarps = kProductThreads / 32;

__device__ __forceinline__ float add_product(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double add_product(double a, double b, double c) { return fma(a, b, c); }

__device__ __forceinline__ void load_four(const float* from, float* to) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
}
__device__ __forceinline__ void load_four(const double* from, double* to) {
  const double2 low = reinterpret_cast<const double2*>(from)[0];
  const double2 high = reinterpret_cast<const double2*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = high.x, to[3] = high.y;
}
__device__ __forceinline__ void store_four(float* to, const float* from) {
  *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
}
__device__ __forceinline__ void store_four(double* to, const double* from) {
  reinterpret_cast<double2*>(to)[0] = make_double2(from[0], from[1]);
  reinterpret_cast<double2*>(to)[1] = make_double2(from[2], from[3]);
}

__device__ __forceinline__ bool reads_row(const Factor& factor, int row) {
  return factor.index == nullptr || factor.index[row] >= 0;
}

// Whether the row is multiplied.
__device__ __forceinline__ bool takes_row(const Product& p, int row) {
  if (p.mask_kind != kNoMask) {
    const long long at = static_cast<long long>(row) * p.mask_ld;
    const bool chosen = p.mask_kind == kMaskOfIds ? static_cast<const int*>(p.mask)[at] >= 0
                                                  : static_cast<const Real*>(p.mask)[at] != 0;
    if (!chosen) return false;
  }
  return reads_row(p.x, row) && reads_row(p.w, row);
}

// The matrix that a row reads which is multiplied.
__device__ __forceinline__ const Real* matrix_of(const Factor& factor, int row) {
  const int source = factor.index == nullptr ? row : factor.index[row];
  return static_cast<const Real*>(factor.data) + static_cast<long long>(source) * factor.ld;
}

// Lines of all rows are numbered one after the other, from the first row on.
struct Line {
  int row, line;
};
__device__ __forceinline__ Line line_at(const Product& p, Rows rows, int number) {
  if (p.lines == 1) return {rows.begin + number, 0};
  return {rows.begin + number / p.lines, number % p.lines};
}

__device__ __forceinline__ const Real* source_of(const Product& p, Line at) {
  return matrix_of(p.x, at.row) + static_cast<long long>(at.line) * p.x.line;
}
__device__ __forceinline__ Real* target_of(const Product& p, Line at) {
  return static_cast<Real*>(p.y) + static_cast<long long>(at.row) * p.ld +
         static_cast<long long>(at.line) * p.line;
}

}  // namespace cavs::cuda
