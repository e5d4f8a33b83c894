// The texts of the device's kernels and of the headers that they include: those that the build puts
// into the library (see cmake/CavsCuda.cmake), and the kernels of row_functions.h.
#pragma once

#include <map>
#include <string>

namespace cavs::cuda {

// Name and text of each, as an #include of a kernel names it: "cuda/kernels/rows.h".
const std::map<std::string, std::string>& kernel_headers();

// The text of cuda/kernels/NAME; throws Error(kDevice) where there is none.
std::string kernel_text(const std::string& name);

}  // namespace cavs::cuda
