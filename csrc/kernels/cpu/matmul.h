// "matmul" and "matmul_reduce".
#pragma once

#include "kernels/cpu/isa_table.h"

namespace cavs {

extern const KernelEntry kMatmulKernels[2];

}  // namespace cavs
