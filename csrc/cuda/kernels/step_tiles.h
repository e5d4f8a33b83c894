// How blocks go through lists of arrays, and find one number of a block's threads.
#pragma once

#include "cuda/kernels/real.h"
#include "cuda/kernels/step_calls.h"

namespace cavs::cuda {
namespace {

template <class Item>
__device__ __forceinline__ int tiles_of(const TileList<Item>& list) {
  return list.count == 0 ? 0 : list.ends[list.count - 1];
}

// Calls work(item, number of the item, begin, end, tile) for each tile of the list.
template <class Item, class Work>
__device__ __forceinline__ void for_each_tile(const TileList<Item>& list, const Work& work) {
  const int tiles = tiles_of(list);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    int low = 0, high = list.count - 1;  // the first item that ends behind the tile
    while (low < high) {
      const int middle = (low + high) / 2;
      if (list.ends[middle] > tile) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    const Item& item = list.items[low];
    const long long begin =
        static_cast<long long>(tile - (low == 0 ? 0 : list.ends[low - 1])) * list.tile;
    const long long end = begin + list.tile < item.n ? begin + list.tile : item.n;
    work(item, low, begin, end, tile);
  }
}

// combine() of all threads' values, for every thread, in an order that is always the same.
template <class T, class Combine>
__device__ __forceinline__ T combine_block(T value, T (&shared)[kThreads], const Combine& combine) {
  __syncthreads();
  shared[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      shared[threadIdx.x] = combine(shared[threadIdx.x], shared[threadIdx.x + half]);
    }
  }
  __syncthreads();
  return shared[0];
}

}  // namespace
}  // namespace cavs::cuda
