// What a step leaves for the host's arrays.
#include "cuda/kernels/step_calls.h"

// The loss, rounded to the dtype already.
extern "C" __global__ void write_loss(const cavs::cuda::StepMemory* memory, CAVS_REAL* loss) {
  if (threadIdx.x == 0) *loss = static_cast<CAVS_REAL>(memory->state.loss);
}
