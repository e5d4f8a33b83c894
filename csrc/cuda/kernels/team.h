// The blocks that share an instruction. An instruction is a device function over rows, done by a
// team: launched on its own the team is the whole grid, in a kernel that runs several instructions
// it is what that kernel gives it.
#pragma once

#include "cuda/kernels/call.h"

namespace cavs::cuda {

struct Team {
  int block, blocks;
};

__device__ __forceinline__ Team whole_grid() {
  return {static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x)};
}

// Calls work(row, place) for places 0 .. kPlaces - 1 of each row, adjacent places on adjacent
// threads. Places are counted in 32 bits, because dividing is quick there.
template <int kPlaces, class Work>
__device__ __forceinline__ void for_each_place(const Rows& rows, const Team& team,
                                               const Work& work) {
  constexpr int kMostRows = (1 << 30) / kPlaces;
  for (int begin = rows.begin; begin < rows.end;) {
    const int end = rows.end - begin > kMostRows ? begin + kMostRows : rows.end;
    const unsigned count = static_cast<unsigned>(end - begin) * kPlaces;
    for (unsigned i = team.block * blockDim.x + threadIdx.x; i < count;
         i += team.blocks * blockDim.x) {
      work(begin + static_cast<int>(i / kPlaces), static_cast<int>(i % kPlaces));
    }
    begin = end;
  }
}

}  // namespace cavs::cuda
