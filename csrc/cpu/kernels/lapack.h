// Factorisations and systems of equations, by the LAPACK and BLAS of the library that products use
// (blas.h). Matrices are row-major and contiguous, `count` of them one after the other, and each
// call works in its caller's thread. Error(kRuntime) as require_blas.
#pragma once

#include <cstdint>

namespace cavs {

// The first matrix of a batch that has no factors, and the order of the leading minor that says so.
struct NoFactors {
  int64_t matrix = -1;  // none
  int64_t order = 0;
};

// Writes L of A = L L^T over each A (n, n), with zeros above the diagonal. Reads the triangle on
// and below it.
template <class T>
NoFactors cholesky(T* a, int64_t count, int64_t n);

// Writes the gradient by A over each D (n, n), the gradient by L of A = L L^T, of which the
// triangle on and below the diagonal counts: (S + S^T) / 2 with S = L^-T P L^-1, where P is the
// same triangle of L^T D with half the diagonal (Murray, "Differentiation of the Cholesky
// decomposition", 2016).
template <class T>
void cholesky_gradient(const T* l, T* d, int64_t count, int64_t n);

// Writes zeros above the diagonals, or below them unless `lower`, and multiplies the diagonals.
template <class T>
void keep_triangle(T* a, int64_t count, int64_t n, bool lower, T diagonal);

// Writes op(L)^-1 B over each B (n, columns). L (n, n) is triangular: `lower`, or else upper; of it
// nothing else is read. op transposes where `transposed`.
template <class T>
void solve_triangular(const T* l, T* b, int64_t count, int64_t n, int64_t columns, bool lower,
                      bool transposed);

// Writes op(A)^-1 B over each B (n, columns), and factors of A over A (n, n).
template <class T>
NoFactors solve(T* a, T* b, int64_t count, int64_t n, int64_t columns, bool transposed);

}  // namespace cavs
