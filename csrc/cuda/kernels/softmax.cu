// The kernels of softmax_rows.h.
#include "cuda/kernels/softmax_rows.h"

extern "C" __global__ void __launch_bounds__(256) softmax(cavs::cuda::Along call) {
  cavs::cuda::softmax(call);
}
extern "C" __global__ void __launch_bounds__(256) log_softmax(cavs::cuda::Along call) {
  cavs::cuda::log_softmax(call);
}
extern "C" __global__ void __launch_bounds__(256) logsumexp(cavs::cuda::Along call) {
  cavs::cuda::logsumexp(call);
}
extern "C" __global__ void __launch_bounds__(256) logsumexp_grad(cavs::cuda::Along call) {
  cavs::cuda::logsumexp_grad(call);
}
