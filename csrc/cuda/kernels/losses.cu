// The kernels of losses.h.
#include "cuda/kernels/losses.h"

extern "C" __global__ void __launch_bounds__(256) cross_entropy(cavs::cuda::Along call) {
  cavs::cuda::cross_entropy(call);
}
extern "C" __global__ void __launch_bounds__(256) cross_entropy_grad(cavs::cuda::Along call) {
  cavs::cuda::cross_entropy_grad(call);
}
