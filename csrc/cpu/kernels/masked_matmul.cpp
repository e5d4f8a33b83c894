// Products that leave out rows whose id is -1 ("no input") or whose mask is zero: there one factor
// is zeros, or nobody reads the result. Long runs of other rows are multiplied as they stand. All
// others are brought together, so that few calls multiply them.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/matmul.h"

namespace cavs {
namespace {

constexpr int64_t kRowUnit = 16;    // elements; rows brought together begin at whole cache lines
constexpr int64_t kMostRows = 512;  // brought together at once
constexpr int64_t kFewestRows = 4;  // for which bringing them together is worth it

// A run of at least so many rows is multiplied as it stands. For rows with a weight a call costs
// little; for a sum over rows each call goes through the whole result.
constexpr int64_t kLongRun = 16;
constexpr int64_t kLongSum = 64;

int64_t rounded(int64_t size) { return (size + kRowUnit - 1) / kRowUnit * kRowUnit; }

template <class T>
void run(const KernelEntry& kernel, const KernelCall& call) {
  (sizeof(T) == 4 ? kernel.single : kernel.twice)(call);
}

template <class T>
void put_row(T* to, const T* from, int64_t n) {
  if (from == nullptr) {
    std::fill_n(to, n, T(0));
  } else {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  }
}

// Whether row r is multiplied: input 2 holds ids or masks.
template <class T>
bool is_chosen(const KernelCall& call, int64_t r) {
  const Operand& mask = call.in[2];
  return static_cast<const MaskedMatmulAttributes*>(call.attributes)->by_id
             ? *mask.row<int32_t>(r) >= 0
             : *mask.row<T>(r) != T(0);
}

// How the rows of a call are taken.
struct Ways {
  bool as_they_stand = true;  // runs of rows, which the product itself reads
  int64_t elements = 0;       // of scratch for a row that is brought together; 0: no row is
  int64_t long_run = 1;
};

// Takes each row of the call by one of skip(row), stand(first, end), together(rows, count).
template <class T, class Skip, class Stand, class Together>
void for_each_run(const KernelCall& call, const Ways& ways, Skip skip, Stand stand,
                  Together together) {
  int64_t chosen[kMostRows];
  int64_t count = 0, most = 0, left_out = 0;
  if (ways.elements > 0) {
    most = std::min(kMostRows, kScratchBytes / static_cast<int64_t>(sizeof(T)) / ways.elements);
  }
  const bool brings = !ways.as_they_stand || most >= kFewestRows;
  for (int64_t r = call.row_begin; r < call.row_end;) {
    if (!is_chosen<T>(call, r)) {
      ++left_out;
      skip(r++);
      continue;
    }
    int64_t end = r + 1;
    while (end < call.row_end && is_chosen<T>(call, end)) ++end;
    const bool all = r == call.row_begin && end == call.row_end;
    if (ways.as_they_stand && (!brings || all || end - r >= ways.long_run)) {
      stand(r, end);
      r = end;
    }
    for (; r < end; ++r) {
      chosen[count++] = r;
      if (count < most) continue;
      together(chosen, count);
      count = 0;
    }
  }
  if (count > 0) together(chosen, count);
  if (call.left_out != nullptr) *call.left_out += left_out;
}

// C_r = A_r B for rows of A that are brought together; B has no rows.
template <class T>
void multiply_together(const KernelCall& call, const int64_t* chosen, int64_t count) {
  const int64_t k = product_of(call).k, n = product_of(call).n;
  const int64_t k_row = rounded(k), n_row = rounded(n);
  T* a = static_cast<T*>(call.scratch);
  T* c = a + count * k_row;
  for (int64_t i = 0; i < count; ++i) put_row(a + i * k_row, row_in<T>(call, 0, chosen[i]), k);
  Operand in[2] = {call.in[0], call.in[1]};
  in[0].data = a;
  in[0].ld = k_row;
  Operand out = call.out[0];
  const bool in_place = chosen[count - 1] - chosen[0] == count - 1;
  if (in_place) {
    out.data = out.row<T>(chosen[0]);
  } else {
    out.data = c;
    out.ld = n_row;
    out.padded = true;
  }
  KernelCall together = call;
  together.in = in;
  together.num_in = 2;
  together.out = &out;
  together.tables = nullptr;
  together.row_begin = 0;
  together.row_end = count;
  run<T>(kMatmulKernels[0], together);
  if (in_place) return;
  int64_t begin = 0, end = n;
  product_columns(sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64, call, &begin, &end);
  for (int64_t i = 0; i < count; ++i) {
    put_row(call.out[0].row<T>(chosen[i]) + begin, c + i * n_row + begin, end - begin);
  }
}

template <class T>
void matmul_masked(const KernelCall& call) {
  const MatmulAttributes& product = product_of(call);
  const bool lines = product.m == 1 && call.in[1].ld == 0;  // a line of A for a row
  Ways ways;
  ways.as_they_stand = !(lines && index_of(call, 0) != nullptr);
  if (lines) ways.elements = rounded(product.k) + rounded(product.n);
  ways.long_run = kLongRun;
  const auto skip = [&](int64_t r) {
    if (call.thread == 0) std::fill_n(call.out[0].row<T>(r), call.out[0].size, T(0));
  };
  const auto stand = [&](int64_t begin, int64_t end) {
    KernelCall part = call;
    part.num_in = 2;
    part.row_begin = begin;
    part.row_end = end;
    run<T>(kMatmulKernels[0], part);
  };
  for_each_run<T>(call, ways, skip, stand, [&](const int64_t* chosen, int64_t count) {
    multiply_together<T>(call, chosen, count);
  });
}

template <class T>
void matmul_reduce_masked(const KernelCall& call) {
  const int64_t m = product_of(call).m, n = product_of(call).n;
  const int64_t m_row = rounded(m), n_row = rounded(n);
  bool goes_on = call.num_in > 3;
  const auto add = [&](const Operand& a, const Operand& b, int64_t begin, int64_t end) {
    const Operand in[3] = {a, b, call.out[0]};
    KernelCall part = call;
    part.in = in;
    part.num_in = goes_on ? 3 : 2;
    part.tables = nullptr;
    part.row_begin = begin;
    part.row_end = end;
    run<T>(kMatmulKernels[1], part);
    goes_on = true;
  };
  const bool lines = product_of(call).k == 1 && call.in[0].ld != 0 && call.in[1].ld != 0;
  Ways ways;
  ways.as_they_stand = !(lines && (index_of(call, 0) != nullptr || index_of(call, 1) != nullptr));
  if (lines) ways.elements = m_row + n_row;
  ways.long_run = kLongSum;
  const auto stand = [&](int64_t begin, int64_t end) { add(call.in[0], call.in[1], begin, end); };
  const auto together = [&](const int64_t* chosen, int64_t count) {
    Operand a = call.in[0], b = call.in[1];
    a.data = call.scratch;
    a.ld = m_row;
    b.data = static_cast<T*>(call.scratch) + count * m_row;
    b.ld = n_row;
    for (int64_t i = 0; i < count; ++i) {
      put_row(a.row<T>(i), row_in<T>(call, 0, chosen[i]), m);
      put_row(b.row<T>(i), row_in<T>(call, 1, chosen[i]), n);
    }
    add(a, b, 0, count);
  };
  for_each_run<T>(call, ways, [](int64_t) {}, stand, together);
  if (!goes_on) add(call.in[0], call.in[1], call.row_begin, call.row_begin);  // zeros
}

}  // namespace

const KernelEntry kMaskedMatmulKernels[2] = {
    {"matmul_masked", matmul_masked<float>, matmul_masked<double>},
    {"matmul_reduce_masked", matmul_reduce_masked<float>, matmul_reduce_masked<double>},
};

}  // namespace cavs
