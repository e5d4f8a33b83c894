// Chooses the convolutions' kernels, and says what they need.
#include "cpu/convolution/table.h"

#include <algorithm>
#include <string>

#include "base/isa.h"
#include "program/kernels.h"

namespace cavs {

const ConvolutionTable& convolution_table() {
#if defined(__x86_64__)
  switch (current_isa()) {
    case Isa::kAvx512:
      return convolutions_avx512();
    case Isa::kAvx2:
      return convolutions_avx2();
    default:
      break;
  }
#endif
  return convolutions_generic();
}

TapList used_taps(const ConvolutionAttributes& convolution) {
  if (convolution.taps.empty()) return {nullptr, convolution.all_taps()};
  return {convolution.taps.data(), convolution.num_taps()};
}

const ConvolutionFunctions& convolution_functions(DType dtype) {
  const ConvolutionTable& table = convolution_table();
  return dtype == DType::kFloat32 ? table.single : table.twice;
}

ConvolutionKind kind_of_convolution(KernelId kernel) {
  const std::string name = kernel->name;
  return name == "conv"         ? ConvolutionKind::kForward
         : name == "conv_input" ? ConvolutionKind::kInput
                                : ConvolutionKind::kWeight;
}

int64_t scratch_bytes(DType dtype, KernelId kernel, const Attributes& attributes) {
  const auto* convolution = std::get_if<ConvolutionAttributes>(&attributes);
  if (convolution == nullptr) return kScratchBytes;
  const ConvolutionBytes needed =
      convolution_functions(dtype).bytes(*convolution, kind_of_convolution(kernel));
  return std::max(needed.scratch, kScratchBytes);
}

}  // namespace cavs
