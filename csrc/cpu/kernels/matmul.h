// "matmul" and "matmul_reduce", and both with a mask of rows (masked_matmul.cpp).
#pragma once

#include "cpu/isa_table.h"
#include "program/attributes.h"

namespace cavs {

extern const KernelEntry kMatmulKernels[2];
extern const KernelEntry kMaskedMatmulKernels[2];

inline const MatmulAttributes& product_of(const KernelCall& call) {
  return *static_cast<const MatmulAttributes*>(call.attributes);
}

// The columns that this call's thread computes in a product of rows with a weight.
void product_columns(DType dtype, const KernelCall& call, int64_t* begin, int64_t* end);

}  // namespace cavs
