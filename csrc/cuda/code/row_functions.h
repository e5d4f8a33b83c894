// The kernels of one instruction each as device functions: launched on their own, or called by the
// kernel of a levels segment.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cavs::cuda {

// A function of the namespace cavs::cuda.
struct DeviceFunction {
  const char* kernel;   // that does the same as a launch of its own; null where there is none
  const char* unit;     // the header of cuda/kernels/ where it stands, without ".h"
  const char* type;     // of what it is given
  const char* name;     // with the arguments of a template
  bool shared = false;  // whether it needs the memory that products share
  bool sums = false;    // whether it is told if its output goes on from the value there
};

// Of a kernel over rows; null where there is none.
const DeviceFunction* find_row_function(std::string_view kernel);

// The kernels of such functions by unit, as texts that call them: {"softmax", text of softmax.cu}.
std::map<std::string, std::string> row_kernels();

}  // namespace cavs::cuda
