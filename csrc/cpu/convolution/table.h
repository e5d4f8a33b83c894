// The convolutions' kernels of one instruction set. They stand apart from the other kernels, so
// that each is compiled on its own.
#pragma once

#include <cstdint>

#include "base/dtype.h"
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

struct ConvolutionBytes {
  int64_t scratch = 0;  // that a call needs
  int64_t panels = 0;   // of its weight
};

// For elements of one type.
struct ConvolutionFunctions {
  ConvolutionBytes (*bytes)(const ConvolutionAttributes&, ConvolutionKind);
  // Brings a weight into panels; needs the scratch of a call.
  void (*pack)(const ConvolutionAttributes&, ConvolutionKind, const void* weight, void* panels,
               void* scratch);
};

struct ConvolutionTable {
  KernelEntry kernels[4];
  ConvolutionFunctions single, twice;
};

const ConvolutionTable& convolutions_generic();
#if defined(__x86_64__)
const ConvolutionTable& convolutions_avx2();
const ConvolutionTable& convolutions_avx512();
#endif

// The table of current_isa(), and its functions.
const ConvolutionTable& convolution_table();
const ConvolutionFunctions& convolution_functions(DType dtype);

ConvolutionKind kind_of_convolution(KernelId kernel);

}  // namespace cavs
