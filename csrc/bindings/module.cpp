#include <exception>

#include "base/error.h"
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
    case cavs::ErrorKind::kRuntime:
      break;
  }
  return "CavsRuntimeError";
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const cavs::Error& error) {
    const py::object type = py::module_::import("cavs.errors").attr(class_of(error.kind()));
    PyErr_SetString(type.ptr(), error.what());
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native engine of cavs; private, used through cavs.executor.";
  m.attr("__version__") = CAVS_VERSION;
  py::register_exception_translator(translate);
  cavs::wait_for_calls_at_exit();
  cavs::bind_arrays(m);
  cavs::bind_graph(m);
  cavs::bind_inputs(m);
  cavs::bind_memory(m);
  cavs::bind_kernels(m);
  cavs::bind_program(m);
  cavs::bind_random(m);
  cavs::bind_runtime(m);
  cavs::bind_plans(m);
  cavs::bind_optim(m);
  cavs::bind_step(m);
}
