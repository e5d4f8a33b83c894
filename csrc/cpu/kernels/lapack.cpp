// Calls LAPACK, whose matrices are column-major: it sees each matrix transposed.
#include "cpu/kernels/lapack.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "cpu/kernels/blas.h"

namespace cavs {
namespace {

// Enumerations of the C interfaces have fixed values, sizes are 32-bit integers.
constexpr int kRowMajor = 101, kColumnMajor = 102;
constexpr int kNoTranspose = 111, kTranspose = 112;
constexpr int kUpper = 121, kLower = 122;
constexpr int kNonUnit = 131, kUnit = 132;
constexpr int kLeft = 141, kRight = 142;

template <class T>
using Potrf = int (*)(int layout, char uplo, int n, T* a, int lda);
template <class T>
using Getrf = int (*)(int layout, int m, int n, T* a, int lda, int* pivots);
// trsm, which solves, and trmm, which multiplies.
template <class T>
using Triangular = void (*)(int order, int side, int uplo, int transpose, int diagonal, int m,
                            int n, T alpha, const T* a, int lda, T* b, int ldb);

// The function with T's letter between these parts of its name; it is looked up once for each T.
template <class Function, class T>
Function function_of(const char* before, const char* after) {
  const std::string letter = sizeof(T) == sizeof(float) ? "s" : "d";
  return reinterpret_cast<Function>(blas_function(before + letter + after));
}

int narrow(int64_t size) {
  CAVS_CHECK(size <= 0x7fffffff, ErrorKind::kShape, "[blas] expected sizes below 2^31, got ", size,
             "; use smaller matrices");
  return static_cast<int>(std::max<int64_t>(size, 1));
}

enum class Work { kSolve, kMultiply };

// Writes op(L)^-1 B over B (n, columns), or op(L) B; or from the right over B (rows, n).
template <class T>
struct Triangle {
  const T* l;
  int64_t n;
  bool lower, transposed, unit;
  void apply(Work work, int side, T* b, int64_t rows, int64_t columns) const {
    static const auto solve = function_of<Triangular<T>, T>("cblas_", "trsm");
    static const auto multiply = function_of<Triangular<T>, T>("cblas_", "trmm");
    (work == Work::kSolve ? solve : multiply)(
        kRowMajor, side, lower ? kLower : kUpper, transposed ? kTranspose : kNoTranspose,
        unit ? kUnit : kNonUnit, narrow(rows), narrow(columns), T(1), l, narrow(n), b,
        narrow(columns));
  }
};

template <class T>
void solve_one(const Triangle<T>& triangle, T* b, int64_t columns) {
  triangle.apply(Work::kSolve, kLeft, b, triangle.n, columns);
}

// Tile by tile, so that both lines of a pair of elements are in the cache.
template <class T>
void make_symmetric(T* a, int64_t n) {
  constexpr int64_t tile = 32;
  for (int64_t top = 0; top < n; top += tile) {
    for (int64_t left = 0; left <= top; left += tile) {
      for (int64_t i = top; i < std::min(top + tile, n); ++i) {
        for (int64_t j = left; j < std::min(left + tile, i); ++j) {
          a[i * n + j] = a[j * n + i] = (a[i * n + j] + a[j * n + i]) / 2;
        }
      }
    }
  }
}

// Exchanges rows as the pivots say, which count from 1: in their order, or back.
template <class T>
void exchange_rows(T* b, int64_t columns, const std::vector<int>& pivots, bool back) {
  const auto n = static_cast<int64_t>(pivots.size());
  for (int64_t step = 0; step < n; ++step) {
    const int64_t i = back ? n - 1 - step : step;
    const int64_t other = pivots[static_cast<size_t>(i)] - 1;
    if (other != i) std::swap_ranges(b + i * columns, b + (i + 1) * columns, b + other * columns);
  }
}

}  // namespace

template <class T>
void keep_triangle(T* a, int64_t count, int64_t n, bool lower, T diagonal) {
  for (int64_t row = 0; row < count * n; ++row, a += n) {
    const int64_t i = row % n;
    if (lower) {
      std::fill(a + i + 1, a + n, T(0));
    } else {
      std::fill(a, a + i, T(0));
    }
    a[i] *= diagonal;
  }
}

template <class T>
NoFactors cholesky(T* a, int64_t count, int64_t n) {
  static const auto potrf = function_of<Potrf<T>, T>("LAPACKE_", "potrf_work");
  if (n == 0) return {};
  Interrupt interrupt;
  for (int64_t matrix = 0; matrix < count; ++matrix, a += n * n) {
    interrupt.poll();
    // The upper factor U = L^T of the transposed matrix.
    int64_t order = potrf(kColumnMajor, 'U', narrow(n), a, narrow(n));
    for (int64_t i = 0; i < n; ++i) {
      // A sum that overflows is no pivot either; LAPACK lets it pass.
      if (order == 0 && !std::isfinite(a[i * n + i])) order = i + 1;
    }
    keep_triangle(a, 1, n, true, T(1));
    if (order != 0) return {matrix, order};
  }
  return {};
}

template <class T>
void cholesky_gradient(const T* l, T* d, int64_t count, int64_t n) {
  if (n == 0) return;
  Interrupt interrupt;
  for (int64_t matrix = 0; matrix < count; ++matrix, l += n * n, d += n * n) {
    interrupt.poll();
    const Triangle<T> plain{l, n, true, false, false}, turned{l, n, true, true, false};
    turned.apply(Work::kMultiply, kLeft, d, n, n);
    keep_triangle(d, 1, n, true, T(0.5));
    turned.apply(Work::kSolve, kLeft, d, n, n);
    plain.apply(Work::kSolve, kRight, d, n, n);
    make_symmetric(d, n);
  }
}

template <class T>
void solve_triangular(const T* l, T* b, int64_t count, int64_t n, int64_t columns, bool lower,
                      bool transposed) {
  if (n == 0 || columns == 0) return;
  Interrupt interrupt;
  for (int64_t i = 0; i < count; ++i) {
    interrupt.poll();
    solve_one(Triangle<T>{l + i * n * n, n, lower, transposed, false}, b + i * n * columns,
              columns);
  }
}

template <class T>
NoFactors solve(T* a, T* b, int64_t count, int64_t n, int64_t columns, bool transposed) {
  static const auto getrf = function_of<Getrf<T>, T>("LAPACKE_", "getrf_work");
  if (n == 0) return {};
  std::vector<int> pivots(static_cast<size_t>(n));
  Interrupt interrupt;
  for (int64_t matrix = 0; matrix < count; ++matrix, a += n * n, b += n * columns) {
    interrupt.poll();
    const int order = getrf(kColumnMajor, narrow(n), narrow(n), a, narrow(n), pivots.data());
    if (order != 0) return {matrix, order};
    if (columns == 0) continue;
    // A^T = P L U, so in the row-major A stand the lower U^T and the upper, unit L^T.
    if (transposed) {
      exchange_rows(b, columns, pivots, false);
      solve_one(Triangle<T>{a, n, false, true, true}, b, columns);
      solve_one(Triangle<T>{a, n, true, true, false}, b, columns);
    } else {
      solve_one(Triangle<T>{a, n, true, false, false}, b, columns);
      solve_one(Triangle<T>{a, n, false, false, true}, b, columns);
      exchange_rows(b, columns, pivots, true);
    }
  }
  return {};
}

template NoFactors cholesky(float*, int64_t, int64_t);
template NoFactors cholesky(double*, int64_t, int64_t);
template void cholesky_gradient(const float*, float*, int64_t, int64_t);
template void cholesky_gradient(const double*, double*, int64_t, int64_t);
template void keep_triangle(float*, int64_t, int64_t, bool, float);
template void keep_triangle(double*, int64_t, int64_t, bool, double);
template void solve_triangular(const float*, float*, int64_t, int64_t, int64_t, bool, bool);
template void solve_triangular(const double*, double*, int64_t, int64_t, int64_t, bool, bool);
template NoFactors solve(float*, float*, int64_t, int64_t, int64_t, bool);
template NoFactors solve(double*, double*, int64_t, int64_t, int64_t, bool);

}  // namespace cavs
