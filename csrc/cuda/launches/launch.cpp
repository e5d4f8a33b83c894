// The device's kernels by name.
#include "cuda/launches/launch.h"

#include <map>
#include <string_view>

#include "cuda/launches/products.h"
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {

const DeviceKernel* find_device_kernel(const std::string& name) {
  // Never destroyed: native calls may go on while the process ends.
  static const auto* const table = [] {
    auto* const made = new std::map<std::string_view, const DeviceKernel*>;
    for (const auto kind : {move_kernels, segment_kernels, along_kernels, line_kernels,
                            shape_kernels, random_kernels, attention_kernels, product_kernels}) {
      for (const DeviceKernel& kernel : kind()) made->emplace(kernel.name, &kernel);
    }
    return made;
  }();
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

}  // namespace cavs::cuda
