// Random numbers of tensors outside of vertex functions.
#include <pybind11/numpy.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/unlocked.h"
#include "cpu/kernel.h"
#include "program/attributes.h"

namespace py = pybind11;

namespace cavs {
namespace {

// Draws with the kernel of vertex functions. Each row counts as a vertex of a graph of its own.
py::array uniform(uint64_t seed, uint64_t step, uint32_t op_key,
                  const py::array_t<int64_t, py::array::c_style>& keys,
                  const py::array_t<int32_t, py::array::c_style>& places, int64_t width,
                  const py::dtype& dtype) {
  const DType type = engine_dtype(dtype).value_or(DType::kInt32);
  const KernelFunction kernel = find_kernel(type, "uniform");
  CAVS_CHECK(kernel != nullptr, ErrorKind::kValue, "[random] expected float32 or float64, got ",
             py::str(dtype).cast<std::string>(), "; pass one of these");
  CAVS_CHECK(keys.ndim() == 1 && keys.size() <= 0x7fffffff && width >= 0, ErrorKind::kShape,
             "[random] expected one key a row, fewer than 2^31, and a width of 0 or more, got ",
             keys.size(), " keys of ", keys.ndim(), " dimensions and a width of ", width,
             "; correct the arguments");
  CAVS_CHECK(places.ndim() == 1 && places.size() == keys.size(), ErrorKind::kShape,
             "[random] expected one place a row, got ", places.size(), " for ", keys.size(),
             "; pass a place for each key");
  py::array result(dtype, {static_cast<int64_t>(keys.size()), width});
  const Operand out = {result.mutable_data(), width, width};
  const UniformAttributes attributes = {op_key};
  std::vector<int32_t> graph(static_cast<size_t>(keys.size()));
  std::iota(graph.begin(), graph.end(), 0);
  RandomContext random;
  random.seed = seed;
  random.step = step;
  random.graph_key = keys.data();
  random.vertex_graph = graph.data();
  random.vertex_local = places.data();
  KernelCall call;
  call.out = &out;
  call.num_out = 1;
  call.attributes = &attributes;
  call.row_end = keys.size();
  call.random = &random;
  const Unlocked unlocked;
  kernel(call);
  return result;
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("uniform", &uniform, py::arg("seed"), py::arg("step"), py::arg("op_key"), py::arg("keys"),
        py::arg("places"), py::arg("width"), py::arg("dtype"),
        "The numbers, (rows, width), that the kernel \"uniform\" draws for vertices with these "
        "places (int32) in graphs with these keys (int64).");
}

}  // namespace cavs
