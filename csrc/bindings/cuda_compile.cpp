// Kernels compiled by NVRTC alone, for GPUs that need not be there.
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/unlocked.h"
#include "cuda/code/kernel_cache.h"
#include "cuda/code/kernel_texts.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::bytes compile(std::string name, std::string text, std::vector<std::string> options,
                  const std::string& architecture) {
  cuda::KernelSource source;
  source.name = std::move(name);
  source.text = std::move(text);
  source.options = std::move(options);
  source.headers = cuda::kernel_headers();
  std::string image;
  {
    const Unlocked unlocked;
    image = cuda::compile(source, architecture);
  }
  return py::bytes(image);
}

py::dict kernel_texts() {
  py::dict texts;
  for (const auto& [name, text] : cuda::kernel_headers()) texts[py::str(name)] = text;
  return texts;
}

}  // namespace

void bind_cuda_compile(py::module_& cuda_module) {
  cuda_module.def("compile", &compile, py::arg("name"), py::arg("text"), py::arg("options"),
                  py::arg("architecture"),
                  "Machine code of CUDA C++ for an architecture such as 'sm_90', with the engine's "
                  "headers. Needs NVRTC, and no GPU. Raises DeviceError.");
  cuda_module.def("kernel_texts", &kernel_texts,
                  "The texts of the engine's kernels and of their headers, by name.");
}

}  // namespace cavs
