// The convolutions' kernels of one instruction set. They stand apart from the other kernels, so
// that each is compiled on its own.
#pragma once

#include <cstdint>

#include "cpu/isa_table.h"
#include "program/attributes.h"

namespace cavs {

// The taps of a convolution that are used; null for all.
struct TapList {
  const int64_t* taps;
  int64_t count;
};
TapList used_taps(const ConvolutionAttributes& convolution);

enum class ConvolutionKind : uint8_t { kForward, kInput, kWeight };

struct ConvolutionTable {
  KernelEntry kernels[4];
  // The scratch that a call needs, for each element type.
  int64_t (*single_bytes)(const ConvolutionAttributes&, ConvolutionKind);
  int64_t (*twice_bytes)(const ConvolutionAttributes&, ConvolutionKind);
};

const ConvolutionTable& convolutions_generic();
#if defined(__x86_64__)
const ConvolutionTable& convolutions_avx2();
const ConvolutionTable& convolutions_avx512();
#endif

// The table of current_isa().
const ConvolutionTable& convolution_table();

}  // namespace cavs
