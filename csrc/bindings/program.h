// What Python calls _core.Program.
#pragma once

#include <memory>

#include "runtime/executable.h"

namespace cavs {

struct PyProgram {
  std::shared_ptr<const Executable> exe;
};

}  // namespace cavs
