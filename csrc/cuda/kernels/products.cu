// Products of matrices and sums over rows, each as a launch of its own.
#include "cuda/kernels/products_each.h"
#include "cuda/kernels/products_few.h"
#include "cuda/kernels/products_sums.h"
#include "cuda/kernels/products_tile.h"

using namespace cavs::cuda;

extern "C" __global__ void __launch_bounds__(256) product_of_few_lines(Product p, Rows rows) {
  __shared__ FewShared shared;
  product_of_few(p, rows, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256) product_with_weight(Product p, Rows rows) {
  __shared__ TileShared shared;
  product_by_tiles(p, rows, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256) product_of_matrices(Product p, Rows rows) {
  __shared__ TileShared shared;
  products_by_tiles(p, rows, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256) product_each(Product p, Rows rows) {
  product_by_elements(p, rows, whole_grid());
}

extern "C" __global__ void __launch_bounds__(256) product_dots(Product p, Rows rows) {
  product_by_dots(p, rows, whole_grid());
}

extern "C" __global__ void __launch_bounds__(256) clear_rows_left_out(Product p, Rows rows) {
  clear_left_out(p, rows, whole_grid());
}

extern "C" __global__ void __launch_bounds__(256)
    product_sum(Product p, Rows rows, SumParts parts, Real* result) {
  __shared__ TileShared shared;
  sum_of_products(p, rows, parts, result, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256)
    row_sum(Operand x, Rows rows, SumParts parts, Real* result) {
  __shared__ RowSumShared shared;
  sum_of_rows(x, rows, parts, result, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256)
    row_maximum(Operand x, Rows rows, int goes_on, Real* result) {
  __shared__ RowSumShared shared;
  maximum_of_rows(x, rows, goes_on != 0, result, whole_grid(), shared);
}

extern "C" __global__ void __launch_bounds__(256)
    part_sum(const Real* from, int count, int size, int goes_on, Real* result) {
  sum_of_parts(from, count, size, goes_on != 0, result, whole_grid());
}
