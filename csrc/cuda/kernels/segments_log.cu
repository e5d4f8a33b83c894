// The kernels of segments_log.h.
#include "cuda/kernels/segments_log.h"

extern "C" __global__ void __launch_bounds__(256) segment_logsumexp(cavs::cuda::Segments call) {
  cavs::cuda::logsumexp_segments(call);
}
extern "C" __global__ void __launch_bounds__(256) segment_softmax(cavs::cuda::Segments call) {
  cavs::cuda::softmax_segments(call);
}
