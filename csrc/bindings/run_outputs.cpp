// Makes arrays of NumPy, or of a GPU, for the outputs of runs.
#include "bindings/run_outputs.h"

#include <pybind11/numpy.h>

#include "bindings/device_arrays.h"
#include "bindings/read.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::object make_output(Device device, const OutputSpec& spec,
                       const std::function<int64_t(const Space&)>& rows) {
  std::vector<py::ssize_t> shape;
  if (spec.space.kind != SpaceKind::kNone) shape.push_back(rows(spec.space));
  shape.insert(shape.end(), spec.shape.begin(), spec.shape.end());
  if (device.kind != DeviceKind::kCpu) {
    return make_device_array(device, {shape.begin(), shape.end()}, spec.dtype);
  }
  switch (spec.dtype) {
    case DType::kFloat32:
      return py::array_t<float>(shape);
    case DType::kFloat64:
      return py::array_t<double>(shape);
    case DType::kInt32:
      break;
  }
  return py::array_t<int32_t>(shape);
}

}  // namespace

py::list complete_outputs(Device device, const std::vector<OutputSpec>& specs,
                          const py::object& given,
                          const std::function<int64_t(const Space&)>& rows) {
  const bool none = given.is_none();
  const py::tuple items = none ? py::tuple() : read_items(given, "runtime", "outputs");
  py::list arrays(none ? specs.size() : py::len(items));
  for (size_t i = 0; i < py::len(arrays); ++i) {
    const py::object item = none ? py::none() : py::object(items[i]);
    arrays[i] = item.is_none() && i < specs.size() ? make_output(device, specs[i], rows) : item;
  }
  return arrays;
}

}  // namespace cavs
