// Checks NumPy arrays before a run takes their addresses.
#include "bindings/run_arrays.h"

#include <optional>
#include <string>

#include "base/error.h"
#include "bindings/dtype.h"

namespace py = pybind11;

namespace cavs {
namespace {

ExternalArray read_array(py::handle item, const char* list, size_t position, bool written) {
  CAVS_CHECK(py::isinstance<py::array>(item), ErrorKind::kShape,
             "[runtime] expected a NumPy array as ", list, " ", position, ", got ",
             py::repr(py::type::of(item)).cast<std::string>(), "; convert it with numpy.asarray");
  const auto array = py::reinterpret_borrow<py::array>(item);
  const py::dtype dtype = array.dtype();
  const std::optional<DType> known = dtype_of(dtype);
  CAVS_CHECK(known.has_value(), ErrorKind::kShape,
             "[runtime] expected float32, float64 or int32 as ", list, " ", position, ", got ",
             py::str(dtype).cast<std::string>(), "; convert the array");
  const bool dense = (array.flags() & py::array::c_style) != 0;
  const bool aligned =
      reinterpret_cast<uintptr_t>(array.data()) % static_cast<size_t>(array.itemsize()) == 0;
  const bool native = dtype.byteorder() != kForeignOrder;
  CAVS_CHECK(dense && aligned && native, ErrorKind::kShape,
             "[runtime] expected a C-contiguous, aligned array in native byte order as ", list, " ",
             position, ", got another layout; use numpy.ascontiguousarray");
  CAVS_CHECK(!written || array.writeable(), ErrorKind::kShape,
             "[runtime] expected a writeable array as ", list, " ", position,
             ", got a read-only one; copy it");
  ExternalArray result;
  result.dtype = *known;
  result.data = const_cast<void*>(array.data());
  result.elements = array.size();
  return result;
}

}  // namespace

std::vector<ExternalArray> read_arrays(const py::sequence& items, const char* list, bool written) {
  std::vector<ExternalArray> arrays;
  arrays.reserve(py::len(items));
  for (const py::handle item : items) {
    arrays.push_back(read_array(item, list, arrays.size(), written));
  }
  return arrays;
}

void set_versions(const std::vector<int64_t>& versions, std::vector<ExternalArray>* params) {
  CAVS_CHECK(versions.empty() || versions.size() == params->size(), ErrorKind::kShape,
             "[runtime] expected a version for each of ", params->size(), " parameters, got ",
             versions.size(), "; pass all of them or none");
  for (size_t i = 0; i < versions.size(); ++i) (*params)[i].version = versions[i];
}

RandomContext random_context(uint64_t seed, uint64_t step, bool training) {
  RandomContext context;
  context.seed = seed;
  context.step = step;
  context.training = training;
  return context;
}

}  // namespace cavs
