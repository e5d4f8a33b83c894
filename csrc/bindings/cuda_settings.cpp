// How sweeps go on a GPU; for all calls from now on.
#include "bindings/bindings.h"
#include "cuda/levels.h"

namespace py = pybind11;

namespace cavs {

void bind_cuda_settings(py::module_& cuda_module) {
  cuda_module.def("persistent_levels", &cuda::persistent_levels,
                  "Whether narrow levels go together, in one launch that stays on the GPU.");
  cuda_module.def("set_persistent_levels", &cuda::set_persistent_levels, py::arg("persistent"),
                  "Set for all calls from now on; CAVS_CUDA_PERSISTENT=0 at the start for none.");
}

}  // namespace cavs
