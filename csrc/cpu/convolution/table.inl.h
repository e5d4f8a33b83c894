// Defines the table of one instruction set; the including file names the function
// CAVS_CONVOLUTIONS.
#pragma once

#include "cpu/convolution/kernels.inl.h"

namespace cavs {
namespace {

constexpr ConvolutionTable kConvolutions = {
    {
        {"conv", conv<float>, conv<double>},
        {"conv_input", conv_input<float>, conv_input<double>},
        {"conv_weight", conv_weight<float>, conv_weight<double>},
        {"conv_weight_reduce", conv_weight_reduce<float>, conv_weight_reduce<double>},
    },
    convolution_bytes<float>,
    convolution_bytes<double>,
};

}  // namespace

const ConvolutionTable& CAVS_CONVOLUTIONS() { return kConvolutions; }

}  // namespace cavs
