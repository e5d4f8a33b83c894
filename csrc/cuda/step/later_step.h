// Training steps on a GPU for which the host does not wait.
#pragma once

#include <memory>

#include "cuda/driver/gpus.h"
#include "runtime/later_step.h"

namespace cavs::cuda {

// On the current stream of the calling thread. Memory comes from `allocator`, of the same GPU; both
// must outlive what the step gives.
template <class T>
std::unique_ptr<LaterStep<T>> begin_later_step(OpenGpu& open, Allocator& allocator);

}  // namespace cavs::cuda
