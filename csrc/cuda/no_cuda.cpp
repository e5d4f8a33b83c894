// Stands for the CUDA backend where a build leaves it out.
#include "base/error.h"
#include "runtime/backend.h"

namespace cavs {

namespace {

[[noreturn]] void refuse() {
  fail(ErrorKind::kDevice,
       "[cuda] expected a build with CUDA, got one that leaves it out (CAVS_CUDA=OFF); install "
       "cavs without CAVS_CUDA=OFF, or use device='cpu' (--device cpu)");
}

}  // namespace

Backend& cuda_backend(int) { refuse(); }

int cuda_ordinal_of(const void*) { refuse(); }

std::vector<Backend*> open_cuda_backends() { return {}; }

}  // namespace cavs
