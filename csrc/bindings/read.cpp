// Describes values of Python in errors.
#include "bindings/read.h"

#include <algorithm>

namespace py = pybind11;

namespace cavs {

namespace {

// What `print` makes of a value; its type's name where code of the value's own raises an error.
std::string printed(py::handle value, PyObject* (*print)(PyObject*)) {
  try {
    auto text = py::reinterpret_steal<py::object>(print(value.ptr()));
    if (!text) throw py::error_already_set();
    return text.cast<std::string>();
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;  // raised by a signal handler
    return type_name(value);
  } catch (const py::cast_error&) {  // of text that UTF-8 cannot encode
    return type_name(value);
  }
}

}  // namespace

std::string type_name(py::handle value) {
  return py::str(py::type::handle_of(value).attr("__name__"));
}

std::string text_of(py::handle error) { return printed(error, PyObject_Str); }

std::string describe(py::handle value) {
  constexpr size_t kMaxLength = 60;
  std::string text = printed(value, PyObject_Repr);
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= kMaxLength) return text;
  // The cut must not fall into a UTF-8 character, which Python would refuse to decode.
  size_t length = kMaxLength;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return text.substr(0, length) + "...";
}

}  // namespace cavs
