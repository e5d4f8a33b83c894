// Defines the table of one instruction set; the including file names the function
// CAVS_CONVOLUTIONS.
#pragma once

#include "cpu/convolution/forward.inl.h"
#include "cpu/convolution/input.inl.h"
#include "cpu/convolution/weight.inl.h"

namespace cavs {
namespace {

// The memory that a thread needs for a convolution of this kind, and that of its panels.
template <class T>
ConvolutionBytes convolution_bytes(const ConvolutionAttributes& it, ConvolutionKind kind) {
  Carver memory(nullptr);
  int64_t packed = 0;
  if (kind == ConvolutionKind::kForward) {
    const ForwardPlan<T> plan(it, memory);
    packed = plan.sizes.groups * packed_elements(plan.stencil);
  } else if (kind == ConvolutionKind::kInput) {
    const ImagePlan<T> plan(it, memory, true);
    packed = plan.packed_count;
  } else {
    const WeightPlan<T> plan(it, memory);
  }
  return {memory.bytes(), packed * static_cast<int64_t>(sizeof(T))};
}

template <class T>
void pack_convolution(const ConvolutionAttributes& it, ConvolutionKind kind, const void* weight,
                      void* packed, void* scratch) {
  Carver memory(scratch);
  if (kind == ConvolutionKind::kForward) {
    ForwardPlan<T> plan(it, memory);
    plan.find_offsets();
    pack_forward(plan, static_cast<const T*>(weight), static_cast<T*>(packed));
  } else {
    const ImagePlan<T> plan(it, memory, false);
    pack_phases(plan, static_cast<const T*>(weight), static_cast<T*>(packed));
  }
}

constexpr ConvolutionTable kConvolutions = {
    {
        {"conv", conv<float>, conv<double>},
        {"conv_input", conv_input<float>, conv_input<double>},
        {"conv_weight", conv_weight<float>, conv_weight<double>},
        {"conv_weight_reduce", conv_weight_reduce<float>, conv_weight_reduce<double>},
    },
    {convolution_bytes<float>, pack_convolution<float>},
    {convolution_bytes<double>, pack_convolution<double>},
};

}  // namespace

const ConvolutionTable& CAVS_CONVOLUTIONS() { return kConvolutions; }

}  // namespace cavs
