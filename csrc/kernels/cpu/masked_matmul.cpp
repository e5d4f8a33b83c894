// Products that leave out rows: where a mask is zero, one factor is zeros, or nobody reads the
// result. The other rows are brought together, so that they are multiplied at the speed of many.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/matmul.h"

namespace cavs {
namespace {

constexpr int64_t kRowUnit = 16;  // elements; rows brought together begin at whole cache lines

int64_t rounded(int64_t size) { return (size + kRowUnit - 1) / kRowUnit * kRowUnit; }

template <class T>
void run(const KernelEntry& kernel, const KernelCall& call) {
  (sizeof(T) == 4 ? kernel.single : kernel.twice)(call);
}

// The row of input `i` for row r, null where its table has none.
template <class T>
const T* row_in(const KernelCall& call, int i, int64_t r) {
  const int32_t* index = call.tables == nullptr ? nullptr : call.tables[i].index;
  const int64_t row = index == nullptr ? r : index[r];
  return row < 0 ? nullptr : call.in[i].row<T>(row);
}

template <class T>
void put_row(T* to, const T* from, int64_t n) {
  if (from == nullptr) {
    std::fill_n(to, n, T(0));
  } else {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  }
}

// The call's rows whose mask, input 2, is not zero, a block at a time that the scratch holds in
// `elements` a row: body(first row, end of the rows looked at, their numbers, their count).
template <class T, class Body>
void for_each_block(const KernelCall& call, int64_t elements, Body body) {
  constexpr int64_t kMostRows = 512;
  int64_t chosen[kMostRows];
  const int64_t fitting = kScratchBytes / static_cast<int64_t>(sizeof(T)) / elements;
  const int64_t most = std::min(kMostRows, fitting);
  for (int64_t begin = call.row_begin; begin < call.row_end;) {
    int64_t count = 0, r = begin;
    for (; r < call.row_end && count < most; ++r) {
      if (*call.in[2].row<T>(r) != T(0)) chosen[count++] = r;
    }
    body(begin, r, chosen, count);
    begin = r;
  }
}

template <class T>
void matmul_masked(const KernelCall& call) {
  const int64_t k = call.ints[3], n = call.ints[4];
  const int64_t k_row = rounded(k), n_row = rounded(n);
  T* a = static_cast<T*>(call.scratch);
  int64_t column_begin = 0, column_end = n;
  product_columns(sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64, call, &column_begin,
                  &column_end);
  for_each_block<T>(call, k_row + n_row,
                    [&](int64_t begin, int64_t end, const int64_t* chosen, int64_t count) {
                      T* c = a + count * k_row;
                      for (int64_t i = 0; i < count; ++i)
                        put_row(a + i * k_row, row_in<T>(call, 0, chosen[i]), k);
                      Operand in[2] = {call.in[0], call.in[1]};
                      Operand out = call.out[0];
                      in[0].data = a;
                      in[0].ld = k_row;
                      out.data = c;
                      out.ld = n_row;
                      out.padded = true;
                      KernelCall together = call;
                      together.in = in;
                      together.num_in = 2;
                      together.out = &out;
                      together.tables = nullptr;
                      together.row_begin = 0;
                      together.row_end = count;
                      if (count > 0) run<T>(kMatmulKernels[0], together);
                      const int64_t columns = column_end - column_begin;
                      for (int64_t r = begin, i = 0; r < end; ++r) {
                        const bool here = i < count && chosen[i] == r;
                        const T* from = here ? c + i++ * n_row + column_begin : nullptr;
                        put_row(call.out[0].row<T>(r) + column_begin, from, columns);
                      }
                    });
}

template <class T>
void matmul_reduce_masked(const KernelCall& call) {
  const int64_t m = call.ints[2], n = call.ints[4];
  const int64_t m_row = rounded(m), n_row = rounded(n);
  T* a = static_cast<T*>(call.scratch);
  bool goes_on = call.num_in > 3;
  Operand in[3] = {call.in[0], call.in[1], call.out[0]};
  KernelCall together = call;
  together.in = in;
  together.tables = nullptr;
  const auto add = [&](int64_t count) {
    together.num_in = goes_on ? 3 : 2;
    together.row_begin = 0;
    together.row_end = count;
    run<T>(kMatmulKernels[1], together);
    goes_on = true;
  };
  for_each_block<T>(call, m_row + n_row,
                    [&](int64_t, int64_t, const int64_t* chosen, int64_t count) {
                      T* b = a + count * m_row;
                      for (int64_t i = 0; i < count; ++i) {
                        put_row(a + i * m_row, row_in<T>(call, 0, chosen[i]), m);
                        put_row(b + i * n_row, row_in<T>(call, 1, chosen[i]), n);
                      }
                      in[0].data = a;
                      in[0].ld = m_row;
                      in[1].data = b;
                      in[1].ld = n_row;
                      if (count > 0) add(count);
                    });
  if (!goes_on) add(0);  // zeros
}

}  // namespace

const KernelEntry kMaskedMatmulKernels[2] = {
    {"matmul_masked", matmul_masked<float>, matmul_masked<double>},
    {"matmul_reduce_masked", matmul_reduce_masked<float>, matmul_reduce_masked<double>},
};

}  // namespace cavs
