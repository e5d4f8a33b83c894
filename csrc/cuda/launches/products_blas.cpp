// Lays products out for cuBLAS, and decides by size which it takes.
#include "cuda/launches/products_blas.h"

#include <algorithm>
#include <cstdint>

#include "base/matmul_precision.h"
#include "cuda/driver/counters.h"

namespace cavs::cuda {
namespace {

// From these sizes on cuBLAS takes a product. Its kernels for few lines read the weight no faster
// than our own, and a sum of few terms is bound by its result.
constexpr int64_t kFewestLines = 128;
constexpr int64_t kFewestColumns = 32;
constexpr int64_t kFewestTerms = 16;
constexpr int64_t kFewestTermsOfSum = 256;
constexpr int64_t kFewestWork = int64_t{1} << 20;  // multiplications
constexpr int64_t kFewestSide = 32;                // of matrices of which each row has its own
constexpr int kMostOfBatch = 32768;

constexpr int kDefaultMath = 0, kTf32Math = 3;  // cublasMath_t

// Matrices that stand row by row, `stride` elements apart.
struct Matrix {
  const void* data;
  bool transposed;  // whether the product takes it transposed
  int64_t ld, stride;
};

struct BlasProduct {
  int64_t m, n, k;
  Matrix x, w;
  void* y;
  int64_t y_ld, y_stride = 0;
  int count = 1;
  bool goes_on = false;
};

const void* at(DType dtype, const void* data, int64_t elements) {
  return static_cast<const char*>(data) + elements * item_size(dtype);
}

// cuBLAS reads matrices column by column: what stands row by row it takes for the transposed one.
// So it computes Y^T = W^T X^T.
template <class T, class One, class Batch>
Result multiply(BlasHandle handle, const BlasProduct& p, One one, Batch batch) {
  const T alpha = 1, beta = p.goes_on ? 1 : 0;
  const auto number = [](int64_t value) { return static_cast<int>(value); };
  const auto* const w = static_cast<const T*>(p.w.data);
  const auto* const x = static_cast<const T*>(p.x.data);
  auto* const y = static_cast<T*>(p.y);
  const int tw = p.w.transposed ? 1 : 0, tx = p.x.transposed ? 1 : 0;
  const int m = number(p.m), n = number(p.n), k = number(p.k);
  const int ldw = number(p.w.ld), ldx = number(p.x.ld), ldy = number(p.y_ld);
  if (p.count == 1) return one(handle, tw, tx, n, m, k, &alpha, w, ldw, x, ldx, &beta, y, ldy);
  for (int first = 0; first < p.count; first += kMostOfBatch) {
    const Result code =
        batch(handle, tw, tx, n, m, k, &alpha, w + first * p.w.stride, ldw, p.w.stride,
              x + first * p.x.stride, ldx, p.x.stride, &beta, y + first * p.y_stride, ldy,
              p.y_stride, std::min(kMostOfBatch, p.count - first));
    if (code != 0) return code;
  }
  return 0;
}

void multiply(Library& library, const Stream& stream, const BlasProduct& p) {
  const BlasTable& table = blas();
  BlasHandle const handle = library.blas(stream);
  Result code = table.cublasSetMathMode(handle, uses_tf32() ? kTf32Math : kDefaultMath);
  if (code == 0) {
    code = library.dtype() == DType::kFloat32
               ? multiply<float>(handle, p, table.cublasSgemm, table.cublasSgemmStridedBatched)
               : multiply<double>(handle, p, table.cublasDgemm, table.cublasDgemmStridedBatched);
  }
  count(counters().products);
  if (code != 0) {
    fail("[cuda] expected a product of ", p.m, " x ", p.k, " x ", p.n, ", got cuBLAS's error ",
         code, "; see docs/gpu.md, Troubleshooting");
  }
}

// Whether each row reads its own rows, and all are multiplied.
bool is_standing(const Product& p) { return p.x.index == nullptr && p.w.index == nullptr; }
bool is_regular(const Product& p) { return is_standing(p) && p.mask_kind == kNoMask; }

// The matrix of row `row`, as one of `lines` lines.
Matrix matrix_of(DType dtype, const Factor& factor, int row, bool is_second) {
  const bool along = factor.term == 1;  // lines stand as lines
  return {at(dtype, factor.data, int64_t{row} * factor.ld), along == is_second,
          along ? factor.line : factor.term, factor.ld};
}

void* result_of(DType dtype, const Product& p, int row) {
  return const_cast<void*>(at(dtype, p.y, int64_t{row} * p.ld));
}

}  // namespace

BlasLimits blas_limits() { return {kFewestLines, kFewestSide, kFewestTermsOfSum}; }

// The lines of all rows stand one below the other, as those of one matrix. What stands in a line of
// X tells on no other line of Y.
bool multiply_lines_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows) {
  const int64_t lines = int64_t{rows.end - rows.begin} * p.lines;
  const bool even =
      p.lines == 1 || (p.x.ld == int64_t{p.lines} * p.x.line && p.ld == int64_t{p.lines} * p.line);
  if (!is_standing(p) || p.w.ld != 0 || p.x.ld == 0 || p.x.term != 1 || p.column != 1 || !even ||
      lines < kFewestLines || lines > INT32_MAX || p.columns < kFewestColumns ||
      p.terms < kFewestTerms || lines * p.columns * p.terms < kFewestWork) {
    return false;
  }
  const DType dtype = library.dtype();
  BlasProduct product;
  product.m = lines;
  product.n = p.columns;
  product.k = p.terms;
  product.x = matrix_of(dtype, p.x, rows.begin, false);
  if (p.lines == 1) product.x.ld = p.x.ld;
  product.w = matrix_of(dtype, p.w, 0, true);
  product.y = result_of(dtype, p, rows.begin);
  product.y_ld = p.lines == 1 ? p.ld : p.line;
  multiply(library, stream, product);
  return true;
}

bool multiply_rows_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows) {
  const int64_t work = int64_t{p.lines} * p.columns * p.terms * (rows.end - rows.begin);
  if (!is_regular(p) || p.column != 1 || std::min({p.lines, p.columns, p.terms}) < kFewestSide ||
      work < kFewestWork) {
    return false;
  }
  const DType dtype = library.dtype();
  BlasProduct product;
  product.m = p.lines;
  product.n = p.columns;
  product.k = p.terms;
  product.x = matrix_of(dtype, p.x, rows.begin, false);
  product.w = matrix_of(dtype, p.w, rows.begin, true);
  product.y = result_of(dtype, p, rows.begin);
  product.y_ld = p.line;
  product.y_stride = p.ld;
  product.count = rows.end - rows.begin;
  multiply(library, stream, product);
  return true;
}

// The terms of all rows stand one below the other, as lines of one matrix for each factor.
bool sum_by_blas(Library& library, const Stream& stream, const Product& p, Rows rows,
                 bool goes_on) {
  const auto even = [&](const Factor& factor) {
    return factor.ld != 0 && factor.line == 1 &&
           (p.terms == 1 || factor.ld == int64_t{p.terms} * factor.term);
  };
  const int64_t terms = int64_t{rows.end - rows.begin} * p.terms;
  if (!is_regular(p) || !even(p.x) || !even(p.w) || terms < kFewestTermsOfSum ||
      std::min(p.lines, p.columns) < kFewestSide || terms * p.lines * p.columns < kFewestWork ||
      terms > INT32_MAX) {
    return false;
  }
  const DType dtype = library.dtype();
  const auto matrix = [&](const Factor& factor, bool transposed) {
    return Matrix{at(dtype, factor.data, int64_t{rows.begin} * factor.ld), transposed,
                  p.terms == 1 ? factor.ld : factor.term, 0};
  };
  BlasProduct product;
  product.m = p.lines;
  product.n = p.columns;
  product.k = terms;
  product.x = matrix(p.x, true);
  product.w = matrix(p.w, false);
  product.y = p.y;
  product.y_ld = p.columns;
  product.goes_on = goes_on;
  multiply(library, stream, product);
  return true;
}

}  // namespace cavs::cuda
