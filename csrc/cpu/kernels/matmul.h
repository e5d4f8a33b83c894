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

// The index through which input `i` is read, null where it is read as it stands.
inline const int32_t* index_of(const KernelCall& call, int i) {
  return call.tables == nullptr ? nullptr : call.tables[i].index;
}

// The row of input `i` for row r, null where its index has none.
template <class T>
const T* row_in(const KernelCall& call, int i, int64_t r) {
  const int32_t* index = index_of(call, i);
  const int64_t row = index == nullptr ? r : index[r];
  return row < 0 ? nullptr : call.in[i].row<T>(row);
}

// The columns that this call's thread computes in a product of rows with a weight.
void product_columns(DType dtype, const KernelCall& call, int64_t* begin, int64_t* end);

}  // namespace cavs
