// Products of matrices and sums over rows on a GPU.
#pragma once

#include <vector>

#include "cuda/launch.h"

namespace cavs::cuda {

// Rows for matmul, matmul_masked, matmul_reduce, matmul_reduce_masked and reduce_rows.
const std::vector<DeviceKernel>& product_kernels();

}  // namespace cavs::cuda
