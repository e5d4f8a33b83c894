// A barrier of all blocks of a cooperative launch.
#pragma once

#if defined(CAVS_EMULATED)
#define CAVS_WHILE_WAITING() __nanosleep(0)  // lets other blocks run
#else
#define CAVS_WHILE_WAITING() ((void)0)
#endif

namespace cavs::cuda {

// What each block wrote before, all see after. `gate` is zero before the first launch that uses it,
// and may then be used by launches of any number of blocks, one after the other: the blocks' steps
// add up to the top bit, so that the others are zero again once all have come.
__device__ __forceinline__ void meet_grid(unsigned* gate) {
  constexpr unsigned kTop = 0x80000000u;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned before = atomicAdd(gate, blockIdx.x == 0 ? kTop - (gridDim.x - 1) : 1u);
    const volatile unsigned* const now = gate;
    while (((before ^ *now) & kTop) == 0) CAVS_WHILE_WAITING();
    __threadfence();
  }
  __syncthreads();
}

}  // namespace cavs::cuda
