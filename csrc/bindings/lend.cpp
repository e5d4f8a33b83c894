// Lends arrays over our memory, which others may hold and write to, and finds out whether they
// still hold them.
#include <pybind11/numpy.h>

#include <vector>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kLent = "cavs.lent";

// The owner of the memory of `array`, or null; a borrowed reference.
PyObject* base_of(PyObject* array) { return py::detail::array_proxy(array)->base; }

bool is_array(PyObject* object) { return py::isinstance<py::array>(object); }

void end_loan(PyObject* capsule) {
  // The pointer of the capsule is the array, which the capsule keeps alive.
  auto* lender = static_cast<PyObject*>(PyCapsule_GetPointer(capsule, kLent));
  Py_XDECREF(lender);
}

// A view of a view in NumPy refers to the last array of the chain, but never to one beyond a base
// that is no array. So all views of a lent array, and all readers by other protocols, hold the lent
// array itself, and it is freed with the last of them.
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

// Whether nobody but the caller holds the object, as far as can be told.
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
        "A new array over the same memory. It is alive as long as somebody holds it, or an "
        "object that was made of it without a copy.");
  m.def("owner", &owner, py::arg("values"),
        "The array that the memory of `values` belongs to, or the last one known, across loans.");
  m.def("has_sole_base", &has_sole_base, py::arg("view"),
        "Whether the array that `view` was made of owns its memory, and nobody else holds it.");
}

}  // namespace cavs
