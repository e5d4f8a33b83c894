// Products of matrices and sums over rows on a GPU.
#pragma once

#include <vector>

#include "cuda/kernels/products_call.h"
#include "cuda/launches/launch.h"

namespace cavs::cuda {

// What the kernels of "matmul" and "matmul_masked" are given: a factor that is the same for all
// rows comes second, so that the product may be the transposed one.
Product product_of_rows(const DeviceCall& call);

// How a matrix of its own for each row is multiplied with another: it depends on their shape alone.
enum class WayOfMatrices { kTiles, kDots, kElements };
WayOfMatrices way_of_matrices(const Product& product);
// What a block then takes one of at a time: tiles, dots of a warp each, or elements of a thread
// each.
int64_t items_of_matrices(const Product& product, int64_t rows);
// Of a result.
int64_t tiles_of(int64_t lines, int64_t columns);

// What the kernels of "matmul_reduce" and "matmul_reduce_masked" are given.
Product product_of_sum(const DeviceCall& call);

// Whether a sum over rows goes on from the value in its output, which is then one more input.
bool goes_on(const Instruction& instruction);

// Whether a sum over so many rows is neither split into parts nor cuBLAS's.
bool is_one_sum(const Program& program, const Instruction& instruction, int rows);

// Rows for matmul, matmul_masked, matmul_reduce, matmul_reduce_masked, max_rows and reduce_rows.
const std::vector<DeviceKernel>& product_kernels();

}  // namespace cavs::cuda
