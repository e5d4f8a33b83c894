// The kernels of segments.h.
#include "cuda/kernels/segments.h"

extern "C" __global__ void __launch_bounds__(256) segment_sum(cavs::cuda::Segments call) {
  cavs::cuda::sum_segments(call);
}
extern "C" __global__ void __launch_bounds__(256) segment_max(cavs::cuda::Segments call) {
  cavs::cuda::max_segments(call);
}
extern "C" __global__ void __launch_bounds__(256) num_children(cavs::cuda::Segments call) {
  cavs::cuda::count_listed(call);
}
extern "C" __global__ void __launch_bounds__(256) present(cavs::cuda::Segments call) {
  cavs::cuda::find_present(call);
}
