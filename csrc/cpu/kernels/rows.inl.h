// How kernels find the rows of their operands, and copy, fill and add them.
#pragma once

#include "cpu/kernel.h"
#include "cpu/kernels/simd.inl.h"
#include "program/attributes.h"

namespace cavs {
namespace {

template <class T>
CAVS_INLINE T* row_of(const Operand& operand, int64_t r) {
  return static_cast<T*>(operand.data) + r * operand.ld;
}

// Rows are often one element (ids, losses) or a few hundred bytes, where a call of memcpy costs
// more than the copy. The empty assembly keeps the compiler from making the last loop a call.
template <class T>
CAVS_INLINE void copy_row(T* target, const T* source, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_vector(target + i, load_vector(source + i));
  for (; i < n; ++i) {
    target[i] = source[i];
    asm volatile("" : "+r"(i));
  }
}

template <class T>
CAVS_INLINE void fill_row(T* target, T value, int64_t n) {
  const Vec<T> vector = splat(value);
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_vector(target + i, vector);
  for (; i < n; ++i) target[i] = value;
}

template <class T>
CAVS_INLINE void copy_or_zero(T* target, const T* source, int64_t n) {
  if (source == nullptr) {
    fill_row(target, T(0), n);
  } else {
    copy_row(target, source, n);
  }
}

template <class T>
CAVS_INLINE void add_row(T* __restrict target, const T* __restrict source, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    store_vector(target + i, load_vector(target + i) + load_vector(source + i));
  }
  for (; i < n; ++i) target[i] += source[i];
}

// Adds K rows to `target` (or, with Begin, their sum replaces it), one after the other.
template <int K, bool Begin, class T>
CAVS_INLINE void add_rows(T* __restrict target, const T* const* sources, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    Vec<T> sum = load_vector(Begin ? sources[0] + i : target + i);
    for (int k = Begin ? 1 : 0; k < K; ++k) sum += load_vector(sources[k] + i);
    store_vector(target + i, sum);
  }
  for (; i < n; ++i) {
    T sum = Begin ? sources[0][i] : target[i];
    for (int k = Begin ? 1 : 0; k < K; ++k) sum += sources[k][i];
    target[i] = sum;
  }
}

// The rows of one segment of a CSR table, one after the other.
template <class T>
CAVS_INLINE const T* segment_row(const Operand& in, const IndexTable& table, int64_t position) {
  const T* row = row_of<T>(in, table.list == nullptr ? position : table.list[position]);
  return table.part == nullptr ? row : row + table.part[position] * in.size;
}

// Asks for a row that is to be read soon. Rows found through a table come in an order that no
// processor foresees, so each of them would cost the latency of a cache.
template <class T>
CAVS_INLINE void prefetch_row(const T* row, int64_t n) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += line) __builtin_prefetch(row + i);
}

// The rows that entries [begin, end) of the operand's table stand for.
template <class T>
CAVS_INLINE void prefetch_rows(const Operand& in, const IndexTable& table, int64_t begin,
                               int64_t end, int64_t column, int64_t n) {
  if (table.index != nullptr) {
    for (int64_t r = begin; r < end; ++r) {
      if (table.index[r] >= 0) prefetch_row(row_of<T>(in, table.index[r]) + column, n);
    }
  } else if (table.ptr != nullptr && begin < end) {
    for (int64_t i = table.ptr[begin]; i < table.ptr[end]; ++i) {
      prefetch_row(segment_row<T>(in, table, i) + column, n);
    }
  }
}

// How many rows before its turn kernels ask for a row.
constexpr int64_t kRowsAhead = 4;

// The sum of the rows that row r of a CSR table stands for, in their order; zeros for none.
template <class T>
void sum_segment(T* target, const Operand& in, const IndexTable& table, int64_t r, int64_t column,
                 int64_t n) {
  int64_t i = table.ptr[r];
  const int64_t end = table.ptr[r + 1];
  const T* rows[4];
  const auto fetch = [&](int count) {
    for (int k = 0; k < count; ++k) rows[k] = segment_row<T>(in, table, i + k) + column;
    i += count;
  };
  if (end - i < 2) {
    copy_or_zero(target, i == end ? nullptr : segment_row<T>(in, table, i) + column, n);
    return;
  }
  fetch(2);
  add_rows<2, true>(target, rows, n);
  while (end - i >= 4) {
    fetch(4);
    add_rows<4, false>(target, rows, n);
  }
  while (i < end) {
    fetch(1);
    add_rows<1, false>(target, rows, n);
  }
}

CAVS_INLINE const IndexTable* table_of(const KernelCall& call, int input) {
  return call.tables == nullptr ? nullptr : call.tables + input;
}

template <class T>
CAVS_INLINE const T& attributes_of(const KernelCall& call) {
  return *static_cast<const T*>(call.attributes);
}

CAVS_INLINE const int32_t* index_of(const KernelCall& call, int input) {
  return call.tables == nullptr ? nullptr : call.tables[input].index;
}

}  // namespace
}  // namespace cavs
