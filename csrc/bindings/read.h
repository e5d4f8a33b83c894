// Python's values as C++ ones, with errors of one line that say which value is wrong.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "base/error.h"

namespace cavs {

std::string type_name(pybind11::handle value);

// What str() says of an error that an object of the user's raised; its type's name if that raises.
std::string text_of(pybind11::handle error);

// A value as an error message shows it: on one line and not too long.
std::string describe(pybind11::handle value);

// `what` says which value it is, "[component] expected <what>, got ...". Throws Error(kValue).
template <class T>
T read_as(pybind11::handle value, const char* component, const char* what) {
  try {
    return value.cast<T>();
  } catch (const pybind11::cast_error&) {
    fail(ErrorKind::kValue, "[", component, "] expected ", what, ", got ", describe(value),
         "; pass one");
  }
}

// A tuple of `length` fields.
inline pybind11::tuple read_tuple(pybind11::handle value, size_t length, const char* component,
                                  const char* what) {
  CAVS_CHECK(pybind11::isinstance<pybind11::tuple>(value) && pybind11::len(value) == length,
             ErrorKind::kValue, "[", component, "] expected a tuple of ", length, " as ", what,
             ", got ", describe(value), "; pass one of that form");
  return pybind11::reinterpret_borrow<pybind11::tuple>(value);
}

// The items of any iterable, held while their own code may change the iterable.
inline pybind11::tuple read_items(pybind11::handle value, const char* component, const char* what) {
  PyObject* items = PySequence_Tuple(value.ptr());
  if (items == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw pybind11::error_already_set();
    PyErr_Clear();
    fail(ErrorKind::kValue, "[", component, "] expected a list of ", what, ", got ",
         describe(value), "; pass a list");
  }
  return pybind11::reinterpret_steal<pybind11::tuple>(items);
}

}  // namespace cavs
