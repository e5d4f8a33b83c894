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

// With S the sum over all pairs of <g_ij, u_i - v_j>, where g_ij is the gradient by x_i of what a
// pair adds to the sum above: writes the gradient of S by x to `grad` (n, d). u is (n, d), v (m,
// d).
template <class T>
void pairwise_kernel_curve(const T* x, const T* u, int64_t n, const T* y, const T* v, int64_t m,
                           int64_t d, const std::vector<double>& widths, T* grad);

}  // namespace cavs
