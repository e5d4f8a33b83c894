// The kernels of shapes.h.
#include "cuda/kernels/shapes.h"

extern "C" __global__ void __launch_bounds__(256) broadcast(cavs::cuda::Shapes call) {
  cavs::cuda::broadcast(call);
}
extern "C" __global__ void __launch_bounds__(256) sum_to(cavs::cuda::Shapes call) {
  cavs::cuda::sum_to(call);
}
