// Stands for the CUDA backend where a build leaves it out.
#include "runtime/backend.h"

namespace cavs {

Backend* cuda_backend() { return nullptr; }

}  // namespace cavs
