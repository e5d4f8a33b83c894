// Sums and maxima over the rows that a table lists, and numbers that a table gives.
#include "cuda/kernels/segments.h"

namespace cavs {
namespace cuda {
namespace {

__device__ __forceinline__ Real sum_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real sum = listed(call, begin, column);
#pragma unroll 8
  for (int i = begin + 1; i < end; ++i) sum += listed(call, i, column);
  return sum;
}

__device__ __forceinline__ Real max_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real top = listed(call, begin, column);
#pragma unroll 8
  for (int i = begin + 1; i < end; ++i) top = maximum_(top, listed(call, i, column));
  return top;
}

}  // namespace
}  // namespace cuda
}  // namespace cavs

extern "C" __global__ void __launch_bounds__(256) segment_sum(cavs::cuda::Segments call) {
  cavs::cuda::for_each_segment(call, cavs::cuda::sum_of);
}
extern "C" __global__ void __launch_bounds__(256) segment_max(cavs::cuda::Segments call) {
  cavs::cuda::for_each_segment(call, cavs::cuda::max_of);
}
extern "C" __global__ void __launch_bounds__(256) num_children(cavs::cuda::Segments call) {
  cavs::cuda::for_each_element(call.tiling, call.rows, [&](int r, int) {
    *cavs::cuda::row_of<cavs::Real>(call.out, r) =
        static_cast<cavs::Real>(call.table.ptr[r + 1] - call.table.ptr[r]);
  });
}
// 1 where there is an id, 0 where it is -1.
extern "C" __global__ void __launch_bounds__(256) present(cavs::cuda::Segments call) {
  cavs::cuda::for_each_element(call.tiling, call.rows, [&](int r, int) {
    *cavs::cuda::row_of<cavs::Real>(call.out, r) =
        *cavs::cuda::row_of<const int>(call.in, r) >= 0 ? 1 : 0;
  });
}
