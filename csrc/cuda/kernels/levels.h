// What kernels that run several levels are made of (see levels_source.h).
#pragma once

#include "cuda/kernels/levels_call.h"
#include "cuda/kernels/meet.h"
#include "cuda/kernels/products_each.h"
#include "cuda/kernels/products_few.h"
#include "cuda/kernels/products_sums.h"

namespace cavs::cuda {
namespace {

// Of products; one at a time uses it.
union LevelsShared {
  FewShared few;
  TileShared tile;
  RowSumShared sums;
};

__device__ __forceinline__ LevelsShared& levels_shared() {
  __shared__ LevelsShared shared;
  return shared;
}
__device__ __forceinline__ Real* kept_weights() {
  extern __shared__ __align__(16) char memory[];
  return reinterpret_cast<Real*>(memory);
}

// The rows of level number `number` of those at hand; none where there is no such level.
__device__ __forceinline__ Rows rows_of_level(const Levels& levels, const int* ptr, int number) {
  if (number < 0 || number >= levels.count) return {};
  const int level = levels.first + number * levels.step;
  return {ptr[level], ptr[level + 1]};
}
__device__ __forceinline__ bool any(const Rows& rows) { return rows.begin < rows.end; }

// The call with other rows.
template <class Call>
__device__ __forceinline__ Call over(Call call, const Rows& rows) {
  call.rows = rows;
  return call;
}

// Calls work(stripe, slot, block, blocks) for the stripes of the team's block: its slot among those
// that the block has in a round, and which of the blocks that share the stripe it is. Either a
// block has several stripes, or several blocks share one. `work` is long, so that it is called in
// one place.
template <class Work>
__device__ __forceinline__ void for_own_stripes(const StripedProduct& it, Team team,
                                                const Work& work) {
  const int stripes = (it.product.columns + kFewColumns - 1) / kFewColumns;
  for (int slot = 0, number = team.block % it.all; number < it.all; ++slot, number += team.blocks) {
    const int stripe = number - it.first;
    if (stripe < 0 || stripe >= stripes) continue;
    work(stripe, slot, team.block / it.all, (team.blocks - 1 - number) / it.all + 1);
  }
}

// Brings the weight of the block's stripes, each term's columns side by side.
__device__ __noinline__ void keep_weight(const StripedProduct& it, Team team) {
  if (it.kept < 0) return;
  Real* const memory = kept_weights();
  const Product& p = it.product;
  const Real* const w = static_cast<const Real*>(p.w.data);
  for_own_stripes(it, team, [&](int stripe, int slot, int, int) {
    Real* const slice = memory + it.kept + slot * it.slice;
    for (int i = threadIdx.x; i < p.terms * kFewColumns; i += kProductThreads) {
      // Along memory, whichever way the weight stands.
      const int term = p.w.line == 1 ? i / kFewColumns : i % p.terms;
      const int own = p.w.line == 1 ? i % kFewColumns : i / p.terms;
      const int column = stripe * kFewColumns + own;
      slice[term * kFewColumns + own] = column < p.columns
                                            ? w[static_cast<long long>(column) * p.w.line +
                                                static_cast<long long>(term) * p.w.term]
                                            : Real(0);
    }
  });
}

// What is called from many places is compiled once: the functions below take most of the time that
// a kernel takes to compile.

// The sums are those of product_of_few, in the same order.
__device__ __noinline__ void multiply_stripes(const StripedProduct& it, Rows rows, Team team) {
  FewShared& shared = levels_shared().few;
  const Real* const memory = kept_weights();
  Product p = it.product;
  const int lines = (rows.end - rows.begin) * p.lines;
  if (it.kept >= 0) {
    p.w.line = 1;
    p.w.term = kFewColumns;
  }
  for_own_stripes(it, team, [&](int stripe, int slot, int block, int blocks) {
    const int column0 = stripe * kFewColumns;
    // Where column 0 of the weight would stand.
    const Real* const w = it.kept >= 0 ? memory + it.kept + slot * it.slice - column0
                                       : static_cast<const Real*>(p.w.data);
    const int each = min((lines + blocks - 1) / blocks, kFewLines);
    for (int line0 = block * each; line0 < lines; line0 += blocks * each) {
      few_lines_of(p, w, rows, line0, min(each, lines - line0), column0, shared);
    }
  });
}

__device__ __noinline__ void multiply_matrices(const Product& p, Rows rows, Team team) {
  products_by_tiles(p, rows, team, levels_shared().tile);
}

// For sums over the rows of a level, which are few.
__device__ __noinline__ void add_products(const Product& p, Rows rows, bool goes_on, Team team) {
  const SumParts parts = {1, rows.end - rows.begin, goes_on ? 1 : 0};
  sum_of_products(p, rows, parts, static_cast<Real*>(p.y), team, levels_shared().tile);
}

__device__ __noinline__ void add_rows(const RowSum& sum, Rows rows, bool goes_on, Team team) {
  const SumParts parts = {1, rows.end - rows.begin, goes_on ? 1 : 0};
  sum_of_rows(sum.in, rows, parts, static_cast<Real*>(sum.out.data), team, levels_shared().sums);
}

}  // namespace
}  // namespace cavs::cuda
