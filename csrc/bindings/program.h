// The class that Python knows as _core.Program.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <vector>

#include "runtime/executable.h"

namespace cavs {

// An array that a run gives: `shape` for each row of `space`, or once where the space has no rows.
struct OutputSpec {
  Space space;
  DType dtype = DType::kFloat32;
  std::vector<pybind11::ssize_t> shape;
};

struct PyProgram {
  std::shared_ptr<const Executable> exe;
  std::shared_ptr<const std::vector<OutputSpec>> outputs;
};

}  // namespace cavs
