// Kernels that move rows: gathers, copies, inputs and outputs.
#pragma once

#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// The row of `in` for entry r of an index, null for -1.
template <class T>
CAVS_INLINE const T* indexed_row(const Operand& in, const int32_t* index, int64_t r) {
  const int64_t row = index == nullptr ? r : index[r];
  return row < 0 ? nullptr : row_of<T>(in, row);
}

template <class T>
void take(const KernelCall& call) {
  const Operand& in = call.in[0];
  const Operand& out = call.out[0];
  const int32_t* index = index_of(call, 0);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    if (index != nullptr && r + kRowsAhead < call.row_end) {
      const T* ahead = indexed_row<T>(in, index, r + kRowsAhead);
      if (ahead != nullptr) prefetch_row(ahead, out.size);
    }
    copy_or_zero(row_of<T>(out, r), indexed_row<T>(in, index, r), out.size);
  }
}

// Only bits move, so int32 inputs stay int32.
template <class T>
void load(const KernelCall& call) {
  if (attributes_of<LoadAttributes>(call).integers) {
    take<int32_t>(call);
  } else {
    take<T>(call);
  }
}

template <class T>
void store(const KernelCall& call) {
  const int32_t* index = index_of(call, 0);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const int64_t target = index == nullptr ? r : index[r];
    if (target < 0) continue;
    copy_row(row_of<T>(call.out[0], target), row_of<T>(call.in[0], r), call.out[0].size);
  }
}

template <class T>
void slots_to_edges(const KernelCall& call) {
  const IndexTable* table = table_of(call, 0);
  const Operand& out = call.out[0];
  for (int64_t e = call.row_begin; e < call.row_end; ++e) {
    const int32_t slot = table->list[e];
    const T* source = slot < call.num_in ? indexed_row<T>(call.in[slot], table->index, e) : nullptr;
    copy_or_zero(row_of<T>(out, e), source, out.size);
  }
}

// Edges of one vertex stand side by side, and a call has all of them.
template <class T>
void child_columns(const KernelCall& call) {
  const int32_t* parent = index_of(call, 0);
  const Operand& out = call.out[0];
  const int64_t columns = call.in[0].size / out.size;
  int64_t column = 0;
  for (int64_t e = call.row_end - 1; e >= call.row_begin; --e) {
    const bool last = e + 1 == call.row_end || parent[e + 1] != parent[e];
    column = last ? columns - 1 : column - 1;
    const T* x = indexed_row<T>(call.in[0], parent, e);
    T* y = row_of<T>(out, e);
    const bool there = x != nullptr && column >= 0;
    for (int64_t i = 0; i < out.size; ++i) y[i] = there ? x[i * columns + column] : T(0);
  }
}

template <class T>
void child_columns_grad(const KernelCall& call) {
  const IndexTable& table = *table_of(call, 0);
  const Operand& out = call.out[0];
  const int64_t columns = out.size / call.in[0].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    T* y = row_of<T>(out, r);
    fill_row(y, T(0), out.size);
    const int64_t end = table.ptr[r + 1], most = end - columns;
    for (int64_t i = table.ptr[r] > most ? table.ptr[r] : most; i < end; ++i) {
      const T* x = segment_row<T>(call.in[0], table, i);
      for (int64_t j = 0; j < call.in[0].size; ++j) y[j * columns + columns - (end - i)] = x[j];
    }
  }
}

// An id without a row gives NaN. The caller has checked the ids, and nothing outside the weight is
// read.
template <class T>
void embedding(const KernelCall& call) {
  const T* weight = static_cast<const T*>(call.in[0].data);
  const auto [num, d] = attributes_of<EmbeddingAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const int64_t id = *row_of<int32_t>(call.in[1], r);
    T* target = row_of<T>(call.out[0], r);
    if (id < num) {
      copy_or_zero(target, id < 0 ? nullptr : weight + id * d, d);
    } else {
      fill_row(target, static_cast<T>(__builtin_nan("")), d);
    }
  }
}

template <class T>
void copy(const KernelCall& call) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    copy_row(row_of<T>(call.out[0], r), row_of<T>(call.in[0], r), call.out[0].size);
  }
}

// Columns of matrices.
template <class T>
void copy_columns(const KernelCall& call) {
  const int32_t* index = index_of(call, 0);
  const auto& it = attributes_of<ColumnsAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = indexed_row<T>(call.in[0], index, r);
    T* y = row_of<T>(call.out[0], r) + it.target_column;
    for (int64_t i = 0; i < it.lines; ++i) {
      copy_or_zero(y + i * it.target_step,
                   x == nullptr ? nullptr : x + it.source_column + i * it.source_step, it.width);
    }
  }
}

template <class T>
void fill(const KernelCall& call) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    fill_row(row_of<T>(call.out[0], r), static_cast<T>(attributes_of<FillAttributes>(call).value),
             call.out[0].size);
  }
}

template <class T>
void unique_ids(const KernelCall& call) {
  const int32_t* ids = index_of(call, 0);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) *row_of<int32_t>(call.out[0], r) = ids[r];
}

template <class T>
void num_children(const KernelCall& call) {
  const int32_t* ptr = table_of(call, 0)->ptr;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    *row_of<T>(call.out[0], r) = static_cast<T>(ptr[r + 1] - ptr[r]);
  }
}

// 1 where there is an id, 0 where it is -1.
template <class T>
void present(const KernelCall& call) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    *row_of<T>(call.out[0], r) = T(*row_of<const int32_t>(call.in[0], r) >= 0 ? 1 : 0);
  }
}

}  // namespace
}  // namespace cavs
