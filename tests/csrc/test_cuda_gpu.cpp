// The emulated GPU runs what NVRTC would compile: kernels, copies, streams.
#include <vector>

#include "check.h"
#include "cuda/code/kernel_texts.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

void test_a_kernel_runs() {
  CHECK(why_not().empty());
  OpenGpu& open = open_gpu(0);
  KernelSource source;
  source.name = "scale.cu";
  source.text =
      "#include \"group/one_lane.h\"\n#include \"group/scalar_functions.h\"\n"
      "#include \"cuda/kernels/call.h\"\n"
      "extern \"C\" __global__ void scale(float* x, int n, float by) {\n"
      "  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)\n"
      "    x[i] = cavs::scalar_mul<float>(x[i], by, 0.0f);\n}\n";
  source.headers = kernel_headers();
  const auto module = open.cache.load(source, open.gpu);
  const Kernel kernel = module->kernel("scale");
  std::vector<float> x(1000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const DeviceBlock block(open.stream, x.size() * sizeof(float));
  open.stream.copy_to_device(block.address(), x.data(), x.size() * sizeof(float));
  kernel.launch(open.stream, {4, 128, 0}, block.address(), static_cast<int>(x.size()), 3.0F);
  open.stream.copy_to_host(x.data(), block.address(), x.size() * sizeof(float));
  open.stream.synchronize();
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == 3.0F * static_cast<float>(i));
}

}  // namespace

int main() {
  test_a_kernel_runs();
  return cavs_test::result();
}
