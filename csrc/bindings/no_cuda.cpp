// Stands for the functions of the GPUs where a build leaves CUDA out.
#include "base/error.h"
#include "bindings/bindings.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kReason =
    "[cuda] expected a build with CUDA, got one that leaves it out (CAVS_CUDA=OFF); install cavs "
    "without CAVS_CUDA=OFF, or use device='cpu' (--device cpu)";

[[noreturn]] void refuse(const py::args&) { fail(ErrorKind::kDevice, kReason); }

}  // namespace

void bind_cuda(py::module_& m) {
  py::module_ cuda_module = m.def_submodule("cuda", "The GPUs of this process: none.");
  cuda_module.attr("built") = false;
  cuda_module.def("why_not", [] { return kReason; });
  cuda_module.def("device_count", [] { return 0; });
  cuda_module.def("emulated", [] { return false; });
  cuda_module.def("set_library_folders", [](const std::string&) {}, py::arg("folders"));
  cuda_module.def("versions", [] { return py::dict(); });
  cuda_module.def(
      "set_array_makers", [](const py::object&, const py::object&) {}, py::arg("make"),
      py::arg("wrap"));
  for (const char* name :
       {"device_info", "synchronize", "reduce_rows", "set_stream", "Memory", "set_memory_pool",
        "compile", "kernel_texts", "counts", "uses_graphs", "set_uses_graphs", "persistent_levels",
        "set_persistent_levels", "levels_choices", "use_on_host"}) {
    cuda_module.def(name, &refuse);
  }
}

}  // namespace cavs
