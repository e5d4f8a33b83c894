// The tables of functions that each instruction set's object file offers to the rest; it offers
// nothing inline.
#pragma once

#include <cstdint>

#include "cpu/kernel.h"
#include "cpu/kernels/far_sine.h"
#include "runtime/step_arithmetic.h"

namespace cavs {

struct KernelEntry {
  const char* name;
  KernelFunction single;  // float
  KernelFunction twice;   // double
};

// C[i, :] (n) += or = sum over k of A[i, k] * op(B)[k, :], for products too small for a BLAS call.
// Element (i, k) of A stands at a[i * a_row + k * a_column], B and C are addressed in the same way,
// and the columns of C are adjacent.
template <class T>
struct SmallProduct {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  T* c;
  int64_t c_row;
  bool accumulate;
};

// A weight B (k, n) in panels as wide as a tile: panel p holds, row by row, the columns [p * width,
// (p + 1) * width), with zeros beyond n. Packs the panels [panel_begin, panel_end). Element (i, j)
// of B stands at b[i * b_row + j * b_column]; one of the two steps is 1.
template <class T>
struct WeightPanels {
  int64_t n, k;
  const T* b;
  int64_t b_row, b_column;
  T* panels;
  int64_t panel_begin, panel_end;
};

// Computes C (m, n) = A (m, k) B, or C += A B where `accumulate`, in the columns of the panels
// [panel_begin, panel_end). In a row of C, c_columns >= n elements may be written. Without panels B
// is read in place: element (i, j) stands at b[i * b_row + j * b_column], and one of the two steps
// is 1. Each element of C is one chain of sums in the order of k, which begins anew every kPassRows
// terms. So its bits depend only on its row of A and its column of B.
template <class T>
struct PackedProduct {
  int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  int64_t a_row = 0;
  const T* panels = nullptr;
  const T* b = nullptr;
  int64_t b_row = 0, b_column = 0;
  int64_t panel_begin = 0, panel_end = 0;
  int64_t panel_step = 0, panel_row = 0;  // from panel to panel, and from row to row of one
  T* c = nullptr;
  int64_t c_row = 0, c_columns = 0;
  bool accumulate = false;
};

// Adds sum over j of sum over w of exp(-|x_i - y_j|^2 / (2 w^2)) to sums[i], for the rows [begin,
// end) of x, and its gradient by x_i to row i of `grad`. The m rows of y stand in panels of
// kPairColumns: panel p holds (d, kPairColumns) elements, zeros where there are no rows.
template <class T>
struct PairwiseSum {
  const T* x;
  int64_t d, m;
  const T* panels;
  const T* rates;  // [width] 1 / w^2
  int64_t num_widths;
  int64_t begin, end;
  double* sums;
  T* grad;  // (rows of x, d), or null
};
constexpr int64_t kPairColumns = 256;

// With S the sum over j of <g_ij, u_i - v_j>, where g_ij is the gradient by x_i of the kernels of
// the pair: adds the gradient of S by x_i to row i of `grad`, for the rows [begin, end) of x. The m
// rows of y, and those of v, stand in panels, as those of a PairwiseSum.
template <class T>
struct PairwiseCurve {
  const T *x, *u;
  int64_t d, m;
  const T *y_panels, *v_panels;
  const T* rates;
  int64_t num_widths;
  int64_t begin, end;
  T* grad;
};

// The functions for elements of one type, besides kernels. Those of optimisers, with PyTorch's
// formulae, and of whole arrays work on n elements in this thread alone.
template <class T>
struct IsaFunctions {
  void (*sgd)(const SgdSettings&, T* param, const T* grad, T* momentum, int64_t n);
  void (*adagrad)(const AdagradSettings&, T* param, const T* grad, T* sum, int64_t n);
  // `step`: number of the update, from 1
  void (*adam)(const AdamSettings&, int64_t step, T* param, const T* grad, T* m, T* v, int64_t n);
  // The arrays are null where the settings have no use for them.
  void (*rmsprop)(const RmspropSettings&, T* param, const T* grad, T* square, T* momentum, T* mean,
                  int64_t n);
  double (*sum)(const T* x, int64_t n);
  double (*sum_squares)(const T* x, int64_t n);
  void (*scale)(T* x, double factor, int64_t n);
  void (*add_scaled)(T* x, const T* y, double factor, int64_t n);
  T (*max_abs)(const T* x, int64_t n);
  // Of some rows of d elements; ids of -1 are passed over.
  T (*max_abs_rows)(const T* x, const int32_t* ids, int64_t count, int64_t d);
  // Whether one of `rows` rows of n elements, ld from start to start, has NaN.
  bool (*has_nan)(const T* x, int64_t rows, int64_t ld, int64_t n);
  void (*small_product)(const SmallProduct<T>&);
  void (*pack_weight)(const WeightPanels<T>&);
  void (*packed_product)(const PackedProduct<T>&);
  void (*pairwise_sum)(const PairwiseSum<T>&);
  void (*pairwise_curve)(const PairwiseCurve<T>&);
};

struct IsaTable {
  const KernelEntry* kernels;
  int num_kernels;
  IsaFunctions<float> single;
  IsaFunctions<double> twice;
  int64_t panel_bytes;  // of one row of a panel
  // Of the first `count` lanes, near[i] becomes the sine of x[i] plus `quarter` quarter turns where
  // that is far; lanes behind them may be written.
  void (*far_sines)(FarLanes*, int64_t count, int quarter);
};

const IsaTable& isa_table_generic();
#if defined(__x86_64__)
const IsaTable& isa_table_avx2();
const IsaTable& isa_table_avx512();
#endif

// The table of current_isa(), and its functions for T.
const IsaTable& isa_table();
template <class T>
const IsaFunctions<T>& isa_functions();

// Throws Error(kRuntime); out of line, so that the objects of the instruction sets instantiate
// nothing.
[[noreturn]] void fail_fused(const char* expected, int64_t got);

}  // namespace cavs
