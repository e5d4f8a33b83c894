// Puts the extension module together, and turns errors into Python's.
#include <algorithm>
#include <exception>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "bindings/bindings.h"
#include "bindings/unlocked.h"

namespace py = pybind11;

namespace {

const char* class_of(cavs::ErrorKind kind) {
  switch (kind) {
    case cavs::ErrorKind::kGraph:
      return "GraphError";
    case cavs::ErrorKind::kShape:
      return "ShapeError";
    case cavs::ErrorKind::kValue:
      return "InputError";
    case cavs::ErrorKind::kDevice:
      return "DeviceError";
    case cavs::ErrorKind::kRuntime:
      break;
  }
  return "CavsRuntimeError";
}

// Names of users may hold anything.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const cavs::Error& error) {
    const py::object type = py::module_::import("cavs.errors").attr(class_of(error.kind()));
    PyErr_SetString(type.ptr(), one_line(error.what()).c_str());
  } catch (const py::cast_error& error) {  // else a RuntimeError
    PyErr_SetString(PyExc_TypeError, ("[native] expected a value of another type, got one that "
                                      "does not fit: " +
                                      one_line(error.what()))
                                         .c_str());
  }
}

// An object of T.__new__(T) has no C++ object in it, and pybind11 gives it memory that was never
// written to. A call of T itself does not look up __new__ here.
void refuse_bare_objects(const py::module_& m) {
  const py::object enumeration = py::module_::import("enum").attr("EnumMeta");
  for (const auto& [name, value] : m.attr("__dict__").cast<py::dict>()) {
    if (!py::isinstance<py::type>(value) || py::isinstance(value, enumeration)) continue;
    const std::string type = py::str(name);
    const py::cpp_function refuse([type](const py::args&, const py::kwargs&) {
      throw py::type_error("[native] expected a call of " + type + ", got " + type +
                           ".__new__; call the class itself");
    });
    auto* object = reinterpret_cast<PyTypeObject*>(value.ptr());
    if (PyDict_SetItemString(object->tp_dict, "__new__", py::staticmethod(refuse).ptr()) != 0) {
      throw py::error_already_set();
    }
    PyType_Modified(object);
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native engine of cavs; private, used through cavs.executor.";
  m.attr("__version__") = CAVS_VERSION;
  py::register_exception_translator(translate);
  cavs::wait_for_calls_at_exit();
  cavs::set_interrupt_check(&cavs::run_signal_handlers);
  cavs::bind_words(m);  // before functions that take them as defaults
  cavs::bind_loops(m);
  cavs::bind_graph(m);
  cavs::bind_growth(m);
  cavs::bind_inputs(m);
  cavs::bind_lend(m);
  cavs::bind_memory(m);
  cavs::bind_kernels(m);
  cavs::bind_linalg(m);
  cavs::bind_program(m);
  cavs::bind_random(m);
  cavs::bind_runtime(m);
  cavs::bind_schedule(m);
  cavs::bind_plans(m);
  cavs::bind_optim(m);
  cavs::bind_step(m);
  cavs::bind_cuda(m);
  refuse_bare_objects(m);
}
