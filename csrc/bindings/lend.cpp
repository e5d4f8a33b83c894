// Arrays over memory of ours that others may hold and write to, and whether they still do.
#include <pybind11/numpy.h>

#include <vector>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kLent = "cavs.lent";

// What owns the memory of `array`, or null: borrowed.
PyObject* base_of(PyObject* array) { return py::detail::array_proxy(array)->base; }

bool is_array(PyObject* object) { return py::isinstance<py::array>(object); }

void end_loan(PyObject* capsule) {
  // Its pointer is the array, which it keeps alive.
  auto* lender = static_cast<PyObject*>(PyCapsule_GetPointer(capsule, kLent));
  Py_XDECREF(lender);
}

// NumPy has views of views refer to the last array of a chain, except that they stop before a base
// that is none: so all views of what is lent, and all who read it by other protocols, hold it
// itself, and it is gone when the last of them is.
py::array lend(const py::array& values) {
  const auto loan =
      py::reinterpret_steal<py::object>(PyCapsule_New(values.ptr(), kLent, &end_loan));
  if (!loan) throw py::error_already_set();
  Py_INCREF(values.ptr());
  const auto axes = static_cast<size_t>(values.ndim());
  return py::array(values.dtype(), std::vector<py::ssize_t>(values.shape(), values.shape() + axes),
                   std::vector<py::ssize_t>(values.strides(), values.strides() + axes),
                   values.data(), loan);
}

py::object owner(const py::array& values) {
  PyObject* array = values.ptr();
  for (PyObject* base = base_of(array); base != nullptr; base = base_of(array)) {
    if (is_array(base)) {
      array = base;
    } else if (PyCapsule_IsValid(base, kLent) != 0) {
      array = static_cast<PyObject*>(PyCapsule_GetPointer(base, kLent));
    } else {
      break;
    }
  }
  return py::reinterpret_borrow<py::object>(array);
}

// Whether nobody but who asks holds the object, as far as can be told.
bool is_only_ours(PyObject* object) {
#if PY_VERSION_HEX >= 0x030E0000
  return PyUnstable_Object_IsUniquelyReferenced(object) != 0;
#elif defined(Py_GIL_DISABLED)
  return false;
#else
  return Py_REFCNT(object) == 1;
#endif
}

bool has_sole_base(const py::array& view) {
  PyObject* base = base_of(view.ptr());
  return base != nullptr && is_array(base) && base_of(base) == nullptr && is_only_ours(base);
}

}  // namespace

void bind_lend(py::module_& m) {
  m.def("lend", &lend, py::arg("values"),
        "A new array over the same memory, which is alive as long as somebody holds it or whatever "
        "was made of it without a copy.");
  m.def("owner", &owner, py::arg("values"),
        "The array that the memory of `values` belongs to, or the last one known, across loans.");
  m.def("has_sole_base", &has_sole_base, py::arg("view"),
        "Whether the array that `view` was made of owns its memory, and nobody else holds it.");
}

}  // namespace cavs
