// The texts of the device's kernels and of the headers that they include, which the build puts into
// the library (see cmake/CavsCuda.cmake).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cavs::cuda {

// Name and text of each, as an #include of a kernel names it: "cuda/kernels/rows.h".
const std::vector<std::pair<std::string, std::string>>& kernel_headers();

// The text of csrc/cuda/kernels/NAME; throws Error(kDevice) where there is none.
std::string kernel_text(const std::string& name);

}  // namespace cavs::cuda
