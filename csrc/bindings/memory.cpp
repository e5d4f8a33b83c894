// Arenas, dynamic tensors and the planner, for cavs/memory.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "memory/arena.h"
#include "memory/dynamic_tensor.h"
#include "memory/planner.h"

namespace py = pybind11;

namespace cavs {
namespace {

DType element_type(const std::string& name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "float64") return DType::kFloat64;
  CAVS_CHECK(name == "int32", ErrorKind::kValue,
             "[memory] expected dtype 'float32', 'float64' or 'int32', got '", name,
             "'; pass one of these");
  return DType::kInt32;
}

// A tensor together with the arena that it stands in, and the arena's epoch when it was placed.
class BoundTensor {
 public:
  BoundTensor(std::shared_ptr<Arena> arena, int64_t size, const std::string& dtype)
      : arena_(std::move(arena)), tensor_(checked_size(size), element_type(dtype)) {}

  void allocate(int64_t rows) {
    tensor_.allocate(*arena_, rows);
    epoch_ = arena_->epoch();
  }

  void grow(int64_t rows) {
    check_alive();
    tensor_.grow(*arena_, rows);
  }

  // (rows, size) view, whose base keeps the block alive: a later growth of the arena moves the
  // tensor away from it, but never frees it under the view.
  py::array view() const {
    check_alive();
    auto* owner = new std::shared_ptr<Block>(arena_->block());
    const py::capsule base(owner, [](void* p) { delete static_cast<std::shared_ptr<Block>*>(p); });
    const int64_t item = item_size(tensor_.dtype);
    return py::array(py::dtype(dtype_name(tensor_.dtype)), {tensor_.rows, tensor_.size},
                     {tensor_.ld * item, item}, tensor_.data(*arena_), base);
  }

  const DynamicTensor& tensor() const { return tensor_; }

 private:
  static int64_t checked_size(int64_t size) {
    CAVS_CHECK(size >= 1 && size <= kMostBytes, ErrorKind::kValue, "[memory] expected 1..",
               kMostBytes, " elements in a row, got ", size, "; give the size of a row");
    return size;
  }

  void check_alive() const {
    CAVS_CHECK(tensor_.offset >= 0, ErrorKind::kRuntime,
               "[memory] expected a tensor that has rows, got one without memory; call allocate()");
    CAVS_CHECK(epoch_ == arena_->epoch(), ErrorKind::kRuntime,
               "[memory] expected a tensor of the arena's present use, got one from before its "
               "reset(); call allocate() again");
  }

  std::shared_ptr<Arena> arena_;
  DynamicTensor tensor_;
  int64_t epoch_ = -1;
};

using PlanItem = std::tuple<int64_t, int, int, int64_t>;

std::pair<std::vector<int64_t>, int64_t> plan(const std::vector<PlanItem>& values) {
  std::vector<Lifetime> lifetimes;
  lifetimes.reserve(values.size());
  for (const auto& [bytes, first, last, offset] : values) {
    lifetimes.push_back({bytes, first, last, offset});
  }
  MemoryPlan result = plan_memory(lifetimes);
  return {std::move(result.offsets), result.total};
}

}  // namespace

void bind_memory(py::module_& m) {
  py::class_<Arena, std::shared_ptr<Arena>>(m, "Arena")
      .def(py::init<>())
      .def("reset", &Arena::reset)
      .def("reserve", &Arena::reserve, py::arg("bytes"))
      .def_property_readonly("used", &Arena::used)
      .def_property_readonly("capacity", &Arena::capacity)
      .def_property_readonly("high_water", &Arena::high_water);

  py::class_<BoundTensor>(m, "DynamicTensor")
      .def(py::init<std::shared_ptr<Arena>, int64_t, const std::string&>(),
           py::arg("arena").none(false), py::arg("size"), py::arg("dtype"))
      .def("allocate", &BoundTensor::allocate, py::arg("rows"))
      .def("grow", &BoundTensor::grow, py::arg("rows"))
      .def("view", &BoundTensor::view)
      .def_property_readonly("size", [](const BoundTensor& t) { return t.tensor().size; })
      .def_property_readonly("rows", [](const BoundTensor& t) { return t.tensor().rows; })
      .def_property_readonly("ld", [](const BoundTensor& t) { return t.tensor().ld; })
      .def_property_readonly("offset", [](const BoundTensor& t) { return t.tensor().offset; })
      .def_property_readonly("bytes", [](const BoundTensor& t) { return t.tensor().bytes(); });

  m.def("plan_memory", &plan, py::arg("values"),
        "(bytes, first, last, offset or -1) per value -> (offsets, total)");
  m.def("pooled_bytes", [] { return cpu_arenas().pooled_bytes(); });
  m.def("release_memory", [] { cpu_arenas().clear(); });
}

}  // namespace cavs
