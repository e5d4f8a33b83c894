// Which kernels the device has.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

// Each kernel of programs is one of the device's, except the groups that are printed.
void test_every_kernel_is_known() {
  for (const Kernel& kernel : kernels()) {
    const bool printed = std::string(kernel.name) == "fused";
    const device::DeviceKernel* found = device::find_device_kernel(kernel.name);
    CHECK((found == nullptr) == printed);
    CHECK(found == nullptr || std::string(found->name) == kernel.name);
  }
  CHECK(device::find_device_kernel("nothing") == nullptr);
}

}  // namespace

int main() {
  test_every_kernel_is_known();
  return cavs_test::result();
}
