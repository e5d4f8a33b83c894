// Takes tensors of other libraries over, by DLPack.
#include "bindings/dlpack.h"

#include <utility>

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kTensor = "dltensor";
constexpr const char* kVersioned = "dltensor_versioned";
constexpr uint32_t kMajor = 1;
constexpr uint64_t kReadOnly = 1;

py::object export_of(py::handle value) {
  const py::object method = value.attr("__dlpack__");
  try {
    return method(py::arg("max_version") = py::make_tuple(kMajor, 0));
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;  // the library is older than versions
  }
  return method();
}

// Takes the tensor out of its capsule into one of ours, and marks the old capsule as used.
template <class Managed>
DlArray take(const py::object& capsule, const char* name, const char* used) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (managed == nullptr || PyCapsule_SetName(capsule.ptr(), used) != 0) {
    throw py::error_already_set();
  }
  py::capsule holder(managed, [](void* held) {
    auto* tensor = static_cast<Managed*>(held);
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  });
  return {std::move(holder), &managed->tensor, true};
}

}  // namespace

DlArray take_dlpack(py::handle value) {
  const py::object capsule = export_of(value);
  if (PyCapsule_IsValid(capsule.ptr(), kTensor) != 0) {
    return take<DlManagedTensor>(capsule, kTensor, "used_dltensor");
  }
  if (PyCapsule_IsValid(capsule.ptr(), kVersioned) != 0) {
    auto array = take<DlVersionedTensor>(capsule, kVersioned, "used_dltensor_versioned");
    const auto* managed = static_cast<const DlVersionedTensor*>(
        py::reinterpret_borrow<py::capsule>(array.holder).get_pointer());
    if (managed->major == kMajor) {
      array.writable = (managed->flags & kReadOnly) == 0;
      return array;
    }
  }
  PyErr_SetString(PyExc_BufferError, "__dlpack__ gave no tensor of a version that is known");
  throw py::error_already_set();
}

}  // namespace cavs
