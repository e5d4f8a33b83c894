// Random numbers of rows, four to a thread.
#pragma once

#include "cuda/kernels/philox.h"
#include "cuda/kernels/real.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

struct __align__(16) Four {
  Real at[4];
};

__device__ __forceinline__ SampleKey key_of_row(const Draw& call, int r) {
  constexpr unsigned kWholeGraph = 0xffffffffu;  // the local index of rows that are graphs,
  constexpr unsigned kWholeBatch = 0xfffffffeu;  // and of what has no rows, which is of graph 0
  if (call.graph_key == nullptr) {
    return sample_key(call.state->seed, call.state->step, call.op, 0ull, kWholeBatch);
  }
  const bool graphs = call.local == nullptr;
  const long long graph = call.graph_key[graphs ? r : call.graph[r]];
  return sample_key(call.state->seed, call.state->step, call.op,
                    static_cast<unsigned long long>(graph),
                    graphs ? kWholeGraph : static_cast<unsigned>(call.local[r]));
}

// The key of row r with its ids in place of graph and vertex: see uniform_by_id in
// cavs/kernels/philox.py. Ids after the second are folded in one by one.
__device__ __forceinline__ SampleKey key_of_ids(const Draw& call, int r) {
  const auto id = [&](int i) { return static_cast<unsigned>(*row_of<const int>(call.ids[i], r)); };
  const bool goes_on = call.begun != nullptr;
  SampleKey row = sample_key(call.state->seed, call.state->step, call.op,
                             !goes_on && call.num_ids > 1 ? id(1) : 0u, goes_on ? 0u : id(0));
  if (goes_on) {
    row.local = call.begun[2 * static_cast<long long>(r - call.rows.begin)];
    row.graph = call.begun[2 * static_cast<long long>(r - call.rows.begin) + 1];
  }
#pragma unroll 1
  for (int i = goes_on ? 0 : 2; i < call.num_ids; ++i) {
    const Block block = philox4x32(row, id(i));
    row.local = block.words[0];
    row.graph = block.words[1];
  }
  return row;
}

// Calls take(r, column, k): number column + i of row r is k.at[i] / 2^24, for i < 4.
template <class KeyOf, class Take>
__device__ __forceinline__ void draw(const Draw& call, KeyOf key_of, Take take) {
  for_each_element(call.tiling, call.rows, [&](int r, int number) {
    const Block block = philox4x32(key_of(call, r), static_cast<unsigned>(number));
    Four k;
#pragma unroll
    for (int i = 0; i < 4; ++i) k.at[i] = static_cast<Real>(block.words[i] >> 8);
    take(r, 4 * number, k);
  });
}

__device__ __forceinline__ void put(const Draw& call, int r, int column, const Four& four) {
  Real* y = row_of<Real>(call.out, r) + column;
  if (call.in_fours != 0) {
    *reinterpret_cast<Four*>(y) = four;
    return;
  }
  for (int i = 0; i < 4 && column + i < call.out.size; ++i) y[i] = four.at[i];
}

// An element is kept and scaled where its number is not below the bound.
template <class KeyOf>
__device__ __forceinline__ void drop(const Draw& call, KeyOf key_of) {
  const Real scale = static_cast<Real>(call.scale), least = static_cast<Real>(call.least);
  draw(call, key_of, [&](int r, int column, const Four& k) {
    const Real* x = row_of<const Real>(call.in, r) + column;
    Four four = {};
    if (call.in_fours != 0) {
      four = *reinterpret_cast<const Four*>(x);
    } else {
      for (int i = 0; i < 4 && column + i < call.out.size; ++i) four.at[i] = x[i];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) four.at[i] = k.at[i] >= least ? four.at[i] * scale : Real(0);
    put(call, r, column, four);
  });
}

// Numbers in [0, 1).
__device__ __forceinline__ void draw_uniform(const Draw& call) {
  draw(call, key_of_row, [&](int r, int column, Four k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) k.at[i] *= static_cast<Real>(0x1p-24);
    put(call, r, column, k);
  });
}
__device__ __forceinline__ void drop_by_row(const Draw& call) { drop(call, key_of_row); }
__device__ __forceinline__ void drop_by_ids(const Draw& call) { drop(call, key_of_ids); }

}  // namespace
}  // namespace cavs::cuda
