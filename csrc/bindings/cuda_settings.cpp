// How sweeps go on a GPU, for all calls from now on, and what they have asked the driver for.
#include "bindings/bindings.h"
#include "cuda/counters.h"
#include "cuda/graphs.h"
#include "cuda/levels.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::dict counts() {
  const cuda::Counters& found = cuda::counters();
  py::dict counts;
  counts["launches"] = found.launches.load();
  counts["graph_launches"] = found.graph_launches.load();
  counts["lost_captures"] = found.lost_captures.load();
  counts["products"] = found.products.load();
  counts["copies_to_device"] = found.copies_to_device.load();
  counts["bytes_to_device"] = found.bytes_to_device.load();
  return counts;
}

}  // namespace

void bind_cuda_settings(py::module_& cuda_module) {
  cuda_module.def("counts", &counts,
                  "Launches of own kernels, of graphs and of cuBLAS's products, captures that "
                  "gave no graph, copies to the device and their bytes, since the process began. "
                  "What is captured into a graph "
                  "counts once, when it is captured.");
  cuda_module.def("uses_graphs", &cuda::uses_graphs,
                  "Whether a batch that comes again is launched as one graph.");
  cuda_module.def("set_uses_graphs", &cuda::set_uses_graphs, py::arg("enabled"),
                  "Set for all calls from now on; CAVS_CUDA_GRAPHS=0 at the start for none.");
  cuda_module.def("persistent_levels", &cuda::persistent_levels,
                  "Whether narrow levels go together, in one launch that stays on the GPU.");
  cuda_module.def("set_persistent_levels", &cuda::set_persistent_levels, py::arg("persistent"),
                  "Set for all calls from now on; CAVS_CUDA_PERSISTENT=0 at the start for none.");
}

}  // namespace cavs
