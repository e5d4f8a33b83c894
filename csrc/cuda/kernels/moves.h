// Rows that are moved, as words of 4, 8 or 16 bytes: only bits move, whatever the dtype.
#pragma once

#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ void spread(const unsigned (&words)[2], unsigned* to) { *to = words[0]; }
__device__ __forceinline__ void spread(const unsigned (&words)[2], uint2* to) {
  *to = make_uint2(words[0], words[1]);
}
__device__ __forceinline__ void spread(const unsigned (&words)[2], uint4* to) {
  *to = make_uint4(words[0], words[1], words[0], words[1]);
}

template <class Word>
__device__ __forceinline__ void move(const Move& move) {
  for_each_element(move.tiling, move.rows, [&](int r, int column) {
    const int target = move.to == nullptr ? r : move.to[r];
    if (target < 0) return;
    const int source =
        move.from == nullptr ? r : move.from[static_cast<long long>(r) * move.from_step];
    int from = column, to = column;
    if (move.width != move.tiling.columns) {
      const int line = static_cast<unsigned>(column) / static_cast<unsigned>(move.width);
      from += line * (move.in_step - move.width);
      to += line * (move.out_step - move.width);
    }
    Word word = {};
    if (source >= move.count) {
      spread(move.beyond, &word);
    } else if (source >= 0) {
      word = row_of<const Word>(move.in, source)[from];
    }
    row_of<Word>(move.out, target)[to] = word;
  });
}

template <class Word>
__device__ __forceinline__ void slots_to_edges(const Slots& call) {
  for_each_element(call.tiling, call.rows, [&](int e, int column) {
    const int slot = call.slot[e] - call.first;
    if (slot < 0 || (slot >= call.count && call.rest == 0)) return;
    Word word = {};
    const int source = call.index[e];
    if (slot < call.count && source >= 0) word = row_of<const Word>(call.in[slot], source)[column];
    row_of<Word>(call.out, e)[column] = word;
  });
}

}  // namespace
}  // namespace cavs::cuda
