// Finds the texts of kernels and headers that the build has put into the library.
#include "cuda/code/kernel_texts.h"

#include "cuda/code/row_functions.h"
#include "cuda/driver/driver.h"

namespace cavs::cuda {

const std::map<std::string, std::string>& kernel_headers() {
  // Never destroyed: kernels may be compiled while the process ends.
  static const auto* const texts = [] {
    auto* const made = new std::map<std::string, std::string>{
#include "cuda/kernel_texts.inc"
    };
    for (const auto& [unit, text] : row_kernels()) (*made)["cuda/kernels/" + unit + ".cu"] += text;
    return made;
  }();
  return *texts;
}

std::string kernel_text(const std::string& name) {
  const auto found = kernel_headers().find("cuda/kernels/" + name);
  if (found != kernel_headers().end()) return found->second;
  fail("[cuda] expected the text of the kernels '", name, "', got none; build cavs again");
}

}  // namespace cavs::cuda
