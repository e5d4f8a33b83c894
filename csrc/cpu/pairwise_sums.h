// Sums of Gaussian kernels over all pairs of rows of two matrices, shared among the threads.
#pragma once

#include <cstdint>
#include <vector>

namespace cavs {

// Sum over all rows i of x (n, d), j of y (m, d) and widths w of exp(-|x_i - y_j|^2 / (2 w^2)). The
// gradient by x is written to `grad` (n, d), unless that is null. Both have the same bits with any
// number of threads.
template <class T>
double pairwise_kernel_sum(const T* x, int64_t n, const T* y, int64_t m, int64_t d,
                           const std::vector<double>& widths, T* grad);

}  // namespace cavs
