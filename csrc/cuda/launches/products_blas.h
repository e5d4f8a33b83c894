// The products that cuBLAS computes: large ones, of matrices that stand evenly in memory.
#pragma once

#include "cuda/code/library.h"
#include "cuda/kernels/products_call.h"

namespace cavs::cuda {

// Each puts the product of these rows on the stream and returns true, where it is one for cuBLAS.

// Rows with a factor that is the same for all, the second. Rows that the mask leaves out are
// multiplied too: their results are to be cleared.
bool multiply_lines_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows);
// A matrix for each row.
bool multiply_rows_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows);
// The sum over rows of the products; Y has no rows.
bool sum_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows, bool goes_on);

// Any of them takes products of at least so many lines, rows of matrices of at least such sides,
// and sums of at least so many terms.
struct BlasLimits {
  int64_t lines, side, terms_of_sum;
};
BlasLimits blas_limits();

}  // namespace cavs::cuda
