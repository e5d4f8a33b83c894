// The CUDA C++ that a program compiles for itself, so that it can be compiled elsewhere.
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "bindings/program.h"
#include "cuda/prepared.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::list sources_of(const PyProgram& program) {
  const Executable& exe = *program.exe;
  CAVS_CHECK(exe.program.device.kind == DeviceKind::kCuda, ErrorKind::kValue,
             "[cuda] expected a program of a GPU, got one of the CPU; compile for device='cuda'");
  py::list found;
  for (const Layout* layout : {&exe.kept, &exe.dropped}) {
    const cuda::KernelSource source = cuda::cuda_program(exe).source(*layout, false);
    found.append(py::make_tuple(source.name, source.text, source.options));
  }
  return found;
}

}  // namespace

void bind_cuda_sources(py::module_& cuda_module) {
  cuda_module.def("sources_of", &sources_of, py::arg("program"),
                  "(name, text, options) of the kernels that a program of a GPU compiles, with and "
                  "without values kept for backward. The headers are those of the engine.");
}

}  // namespace cavs
