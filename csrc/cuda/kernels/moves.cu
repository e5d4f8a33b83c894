// The kernels of moves.h.
#include "cuda/kernels/moves.h"

extern "C" __global__ void __launch_bounds__(256) move_4(cavs::cuda::Move move) {
  cavs::cuda::move<unsigned>(move);
}
extern "C" __global__ void __launch_bounds__(256) move_8(cavs::cuda::Move move) {
  cavs::cuda::move<uint2>(move);
}
extern "C" __global__ void __launch_bounds__(256) move_16(cavs::cuda::Move move) {
  cavs::cuda::move<uint4>(move);
}
extern "C" __global__ void __launch_bounds__(256)
    slots_to_edges_4(const __grid_constant__ cavs::cuda::Slots call) {
  cavs::cuda::slots_to_edges<unsigned>(call);
}
extern "C" __global__ void __launch_bounds__(256)
    slots_to_edges_8(const __grid_constant__ cavs::cuda::Slots call) {
  cavs::cuda::slots_to_edges<uint2>(call);
}
extern "C" __global__ void __launch_bounds__(256)
    slots_to_edges_16(const __grid_constant__ cavs::cuda::Slots call) {
  cavs::cuda::slots_to_edges<uint4>(call);
}
