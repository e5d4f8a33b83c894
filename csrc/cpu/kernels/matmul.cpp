// Chooses for each product of rows how it is computed: by panels, in place, by BLAS.
#include "cpu/kernels/matmul.h"

#include <algorithm>

#include "cpu/kernels/blas.h"

namespace cavs {
namespace {

// How many of the m rows small_product takes, from the last on. All numbers are measured: OpenBLAS
// packs B whatever m is, and m % 4 rows at the end cost it as much as eight.
int64_t rows_of_small_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t few_elements = 256;
  constexpr int64_t worth_a_second_call = 8 * 1024;
  constexpr int64_t fits_cache = 256 * 1024;
  if (m * n * k <= few_elements) return m;
  const int64_t remainder = k * n >= worth_a_second_call ? m % 4 : 0;
  if (tb) {  // dot products; with ta too, neither operand is contiguous
    if (ta || k < 16) return 0;
    return m <= 3 ? m : remainder == 2 ? 0 : remainder;
  }
  if (n < 16 || k * n > fits_cache) return 0;
  return m < 12 ? m : remainder;
}

// C (m,n) = op(A) op(B), or C += op(A) op(B) where `accumulate`. small_product computes the last
// `small_rows` rows.
template <class T>
void product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
             int64_t ldb, bool accumulate, T* c, int64_t ldc, int64_t small_rows) {
  require_blas();
  SmallProduct<T> small = {small_rows, n, k, a, lda, 1, b, ldb, 1, c, ldc, accumulate};
  if (ta) std::swap(small.a_row, small.a_column);
  if (tb) std::swap(small.b_row, small.b_column);
  const int64_t blas_rows = m - small.m;
  if (blas_rows > 0) {
    gemm(ta, tb, blas_rows, n, k, a, lda, b, ldb, accumulate ? T(1) : T(0), c, ldc);
  }
  if (small.m > 0) {
    small.a += blas_rows * small.a_row;
    small.c += blas_rows * ldc;
    isa_functions<T>().small_product(small);
  }
}

int64_t panel_columns(DType dtype) { return isa_table().panel_bytes / item_size(dtype); }

int64_t count_panels(DType dtype, int64_t n) {
  const int64_t columns = panel_columns(dtype);
  return (n + columns - 1) / columns;
}

// C = A B for the call's rows, which all share B. The call's thread computes its part of the
// columns. A row of A or C holds m lines.
template <class T>
void product_with_shared(const KernelCall& call, int input, const Operand& shared, bool transposed,
                         int64_t m, int64_t k, int64_t n) {
  const Operand& a = call.in[input];
  const DType dtype = sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64;
  const Operand& c = call.out[0];
  PackedProduct<T> p;
  p.m = call.row_end - call.row_begin;
  p.n = n;
  p.k = k;
  p.a = a.row<T>(call.row_begin);
  p.a_row = a.ld;
  p.panels = static_cast<const T*>(shared.packed);
  p.b = shared.row<T>(0);
  p.b_row = transposed ? 1 : n;
  p.b_column = transposed ? k : 1;
  const int64_t panels = count_panels(dtype, n);
  p.panel_begin = panels * call.thread / call.num_threads;
  p.panel_end = panels * (call.thread + 1) / call.num_threads;
  p.c = c.row<T>(call.row_begin);
  p.c_row = c.ld;
  p.c_columns = c.padded ? c.ld : n;
  const bool lines = index_of(call, 0) != nullptr || index_of(call, 1) != nullptr;
  const auto packed_product = isa_functions<T>().packed_product;
  if (m == 1 && !lines) return packed_product(p);
  p.a_row = k;
  p.c_row = p.c_columns = n;
  if (a.ld == m * k && c.ld == m * n && !lines) {
    p.m *= m;
    return packed_product(p);
  }
  p.m = m;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    p.a = row_in<T>(call, input, r);
    p.c = c.row<T>(r);
    if (p.a != nullptr) {
      packed_product(p);
    } else if (call.thread == 0) {
      std::fill_n(p.c, m * n, T(0));
    }
  }
}

template <class T>
void matmul_by_row(const KernelCall& call, const MatmulAttributes& s) {
  const int64_t small_rows = rows_of_small_product(s.ta, s.tb, s.m, s.n, s.k);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* a = row_in<T>(call, 0, r);
    const T* b = row_in<T>(call, 1, r);
    T* c = call.out[0].row<T>(r);
    if (a == nullptr || b == nullptr) {
      std::fill_n(c, s.m * s.n, T(0));
    } else {
      product<T>(s.ta, s.tb, s.m, s.n, s.k, a, s.ta ? s.m : s.k, b, s.tb ? s.k : s.n, false, c, s.n,
                 small_rows);
    }
  }
}

template <class T>
void matmul(const KernelCall& call) {
  const MatmulAttributes& s = product_of(call);
  const Operand& a = call.in[0];
  const Operand& b = call.in[1];
  if (call.row_begin >= call.row_end) return;
  const bool a_shared = a.ld == 0, b_shared = b.ld == 0;
  if (b_shared && !a_shared && (!s.ta || s.m == 1)) {
    product_with_shared<T>(call, 0, b, s.tb, s.m, s.k, s.n);
  } else if (a_shared && !b_shared && s.n == 1) {
    // C_r = op(A) B_r is the row C_r^T = B_r^T op(A)^T.
    product_with_shared<T>(call, 1, a, !s.ta, 1, s.k, s.m);
  } else {
    matmul_by_row<T>(call, s);
  }
}

constexpr int64_t kUnit = 16;  // parts of a sum begin at multiples of so many lines of C

// The part [begin, end) of `size` that this call's thread takes.
void split(int64_t size, const KernelCall& call, int64_t* begin, int64_t* end) {
  constexpr int64_t unit = kUnit;
  const int64_t units = (size + unit - 1) / unit;
  *begin = std::min(size, units * call.thread / call.num_threads * unit);
  *end = std::min(size, units * (call.thread + 1) / call.num_threads * unit);
}

// How many threads share a sum of `terms` terms for each element of C (m, n), so that the bits of C
// do not depend on the number of threads where OpenBLAS allows it. With AVX-512, OpenBLAS has other
// kernels for products of up to a million terms. They do not begin a chain of sums anew where the
// kernels for large products do; short chains never begin anew. In float64, OpenBLAS adds in other
// orders at the ends of lines, and parts would move these ends.
template <class T>
int parts_of_sum(int64_t m, int64_t n, int64_t terms, int threads) {
  if (sizeof(T) == sizeof(double)) return 1;
  constexpr int64_t one_chain = 192, largest_small = 1000 * 1000, unit = kUnit;
  if (terms <= one_chain) return threads;
  // Parts are whole units but for the last; `product` takes up to three rows of C from OpenBLAS.
  const int64_t lines = std::max(m, n), units = (lines + unit - 1) / unit;
  const int64_t whole = m < n ? (m - 3) * terms : n * terms, taken = m < n ? 0 : 3;
  const auto smallest = [&](int64_t parts) {
    return std::min(units / parts * unit, lines - units * (parts - 1) / parts * unit) - taken;
  };
  int parts = threads;
  while (parts > 1 && smallest(parts) * whole <= largest_small) --parts;
  return parts;
}

// Each thread works on rows [i0, i1) and columns [j0, j1) of C, one of which ranges is whole. Where
// C is an input too, the sum goes on from its values.
template <class T>
void matmul_reduce(const KernelCall& given) {
  KernelCall call = given;
  const MatmulAttributes& s = product_of(call);
  const int64_t terms = std::max<int64_t>(0, call.row_end - call.row_begin) * s.k;
  call.num_threads = parts_of_sum<T>(s.m, s.n, terms, call.num_threads);
  if (call.thread >= call.num_threads) return;
  const Operand& a = call.in[0];
  const Operand& b = call.in[1];
  int64_t i0 = 0, i1 = s.m, j0 = 0, j1 = s.n;
  if (s.m >= s.n) {
    split(s.m, call, &i0, &i1);
  } else {
    split(s.n, call, &j0, &j1);
  }
  if (i0 >= i1 || j0 >= j1) return;
  const int64_t rows = call.row_end - call.row_begin;
  T* c = static_cast<T*>(call.out[0].data) + i0 * s.n + j0;
  const int64_t lda = s.ta ? s.m : s.k, ldb = s.tb ? s.k : s.n;
  const int64_t offset_a = s.ta ? i0 : i0 * lda, offset_b = s.tb ? j0 * ldb : j0;
  const bool goes_on = call.num_in > 2;
  // small_product takes the last rows of all of C, whichever thread has them. Returns how many of
  // these rows this part has.
  const auto small_rows = [&](bool ta, bool tb, int64_t k) {
    const int64_t all = rows_of_small_product(ta, tb, s.m, s.n, k);
    return std::min(i1 - i0, std::max<int64_t>(0, all - (s.m - i1)));
  };
  if (rows <= 0) {
    if (goes_on) return;
    for (int64_t i = 0; i < i1 - i0; ++i) std::fill(c + i * s.n, c + i * s.n + (j1 - j0), T(0));
  } else if (s.k == 1 && a.ld != 0 && b.ld != 0) {
    product<T>(true, false, i1 - i0, j1 - j0, rows, a.row<T>(call.row_begin) + i0, a.ld,
               b.row<T>(call.row_begin) + j0, b.ld, goes_on, c, s.n, small_rows(true, false, rows));
  } else if (s.ta && !s.tb && a.ld == s.k * s.m && b.ld == s.k * s.n && a.ld != 0 && b.ld != 0) {
    product<T>(true, false, i1 - i0, j1 - j0, rows * s.k, a.row<T>(call.row_begin) + i0, s.m,
               b.row<T>(call.row_begin) + j0, s.n, goes_on, c, s.n,
               small_rows(true, false, rows * s.k));
  } else {
    for (int64_t r = call.row_begin; r < call.row_end; ++r) {
      product<T>(s.ta, s.tb, i1 - i0, j1 - j0, s.k, a.row<T>(r) + offset_a, lda,
                 b.row<T>(r) + offset_b, ldb, goes_on || r > call.row_begin, c, s.n,
                 small_rows(s.ta, s.tb, s.k));
    }
  }
}

template <class T>
void pack_panels(bool transposed, int64_t k, int64_t n, const void* weight, void* packed,
                 int64_t begin, int64_t end) {
  isa_functions<T>().pack_weight({n, k, static_cast<const T*>(weight), transposed ? 1 : n,
                                  transposed ? k : 1, static_cast<T*>(packed), begin, end});
}

}  // namespace

int64_t packed_weight_bytes(DType dtype, int64_t k, int64_t n) {
  return std::max<int64_t>(1, count_panels(dtype, n) * k * isa_table().panel_bytes);
}

void pack_weight(DType dtype, bool transposed, int64_t k, int64_t n, const void* weight,
                 void* packed, int thread, int num_threads) {
  const int64_t count = count_panels(dtype, n);
  const int64_t begin = count * thread / num_threads, end = count * (thread + 1) / num_threads;
  const auto pack = dtype == DType::kFloat32 ? pack_panels<float> : pack_panels<double>;
  pack(transposed, k, n, weight, packed, begin, end);
}

void product_columns(DType dtype, const KernelCall& call, int64_t* begin, int64_t* end) {
  const int64_t n = product_of(call).n;
  const int64_t panels = count_panels(dtype, n), columns = panel_columns(dtype);
  *begin = std::min(n, panels * call.thread / call.num_threads * columns);
  *end = std::min(n, panels * (call.thread + 1) / call.num_threads * columns);
}

const KernelEntry kMatmulKernels[2] = {
    {"matmul", matmul<float>, matmul<double>},
    {"matmul_reduce", matmul_reduce<float>, matmul_reduce<double>},
};

}  // namespace cavs
