// Launches of the convolution and its derivatives.
#include <algorithm>

#include "cuda/launches/products.h"
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

template <size_t Count>
void copy_numbers(const int64_t (&from)[Count], int (&to)[Count]) {
  std::transform(from, from + Count, to, [](int64_t number) { return static_cast<int>(number); });
}

Convolution convolution_of(const DeviceCall& call) {
  const auto& it = attributes_of<ConvolutionAttributes>(call);
  Convolution made;
  made.in[0] = call.in[0];
  made.in[1] = call.in[1];
  made.out = call.out[0];
  made.rows = call.rows;
  copy_numbers(it.image, made.image);
  copy_numbers(it.places, made.places);
  copy_numbers(it.kernel, made.kernel);
  copy_numbers(it.stride, made.stride);
  copy_numbers(it.padding, made.padding);
  copy_numbers(it.dilation, made.dilation);
  made.groups = static_cast<int>(it.groups);
  made.masked = it.taps.empty() ? 0 : 1;
  for (const int64_t tap : it.taps) made.taps[tap / 32] |= 1u << tap % 32;
  made.tiling = tiling_of(made.out.size);
  return made;
}

void launch_by_elements(Library& library, const Stream& stream, const DeviceCall& call) {
  const Convolution made = convolution_of(call);
  launch(library, stream, "convolution", call.instruction->kernel->name,
         blocks_for(library, call.rows, made.tiling), made);
}

void launch_sum(Library& library, const Stream& stream, const DeviceCall& call) {
  Convolution made = convolution_of(call);
  made.goes_on = goes_on(*call.instruction) ? 1 : 0;
  launch(library, stream, "convolution_sums", "conv_weight_reduce",
         blocks_for(library, made.out.size, 1), made);
}

}  // namespace

const std::vector<DeviceKernel>& convolution_kernels() {
  static const auto* const table =
      new std::vector<DeviceKernel>{{"conv", launch_by_elements},
                                    {"conv_input", launch_by_elements},
                                    {"conv_weight", launch_by_elements},
                                    {"conv_weight_reduce", launch_sum}};
  return *table;
}

}  // namespace cavs::cuda
