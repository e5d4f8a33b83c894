// Finds the texts of kernels and headers that the build has put into the library.
#include "cuda/kernel_texts.h"

#include "cuda/driver.h"

namespace cavs::cuda {

const std::vector<std::pair<std::string, std::string>>& kernel_headers() {
  // Never destroyed: kernels may be compiled while the process ends.
  static const auto* const texts = new std::vector<std::pair<std::string, std::string>>{
#include "cuda/kernel_texts.inc"
  };
  return *texts;
}

std::string kernel_text(const std::string& name) {
  for (const auto& [known, text] : kernel_headers()) {
    if (known == "cuda/kernels/" + name) return text;
  }
  fail("[cuda] expected the text of the kernels '", name, "', got none; build cavs again");
}

}  // namespace cavs::cuda
