// Sums and maxima over the rows that a table lists, one thread for each column, in the order of the
// list: the CPU's bits. And numbers that a table gives.
#pragma once

#include "cuda/kernels/real.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

// Element `column` of the row that entry i of the table names.
__device__ __forceinline__ Real listed(const Segments& call, int i, int column) {
  const Real* row =
      row_of<const Real>(call.in, call.table.list == nullptr ? i : call.table.list[i]);
  if (call.table.part != nullptr) row += static_cast<long long>(call.table.part[i]) * call.in.size;
  return row[column];
}

template <class Reduce>
__device__ __forceinline__ void for_each_segment(const Segments& call, Reduce reduce) {
  for_each_element(call.tiling, call.rows, [&](int r, int column) {
    row_of<Real>(call.out, r)[column] =
        reduce(call, call.table.ptr[r], call.table.ptr[r + 1], column);
  });
}

__device__ __forceinline__ Real sum_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real sum = listed(call, begin, column);
#pragma unroll 8
  for (int i = begin + 1; i < end; ++i) sum += listed(call, i, column);
  return sum;
}

__device__ __forceinline__ Real max_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real top = listed(call, begin, column);
#pragma unroll 8
  for (int i = begin + 1; i < end; ++i) top = maximum_(top, listed(call, i, column));
  return top;
}

__device__ __forceinline__ void sum_segments(const Segments& call) {
  for_each_segment(call, sum_of);
}
__device__ __forceinline__ void max_segments(const Segments& call) {
  for_each_segment(call, max_of);
}

// The number of rows that the table lists.
__device__ __forceinline__ void count_listed(const Segments& call) {
  for_each_element(call.tiling, call.rows, [&](int r, int) {
    *row_of<Real>(call.out, r) = static_cast<Real>(call.table.ptr[r + 1] - call.table.ptr[r]);
  });
}
// Of a matrix of the parent, the column of an edge: the last one for its last edge.
__device__ __forceinline__ void find_child_columns(const Segments& call) {
  const int columns = call.in.size / call.out.size;
  const int* parent = call.table.index;
  for_each_element(call.tiling, call.rows, [&](int e, int i) {
    int end = e + 1;
    while (end < call.rows.end && parent[end] == parent[e]) ++end;
    const int column = columns - (end - e);
    Real value = 0;
    if (parent[e] >= 0 && column >= 0) {
      value = row_of<const Real>(call.in, parent[e])[i * columns + column];
    }
    row_of<Real>(call.out, e)[i] = value;
  });
}
__device__ __forceinline__ void put_child_columns(const Segments& call) {
  const int columns = call.out.size / call.in.size;
  for_each_element(call.tiling, call.rows, [&](int r, int element) {
    const int i = call.table.ptr[r + 1] - (columns - element % columns);
    const bool there = i >= call.table.ptr[r];
    row_of<Real>(call.out, r)[element] = there ? listed(call, i, element / columns) : Real(0);
  });
}

// 1 where there is an id, 0 where it is -1.
__device__ __forceinline__ void find_present(const Segments& call) {
  for_each_element(call.tiling, call.rows, [&](int r, int) {
    *row_of<Real>(call.out, r) = *row_of<const int>(call.in, r) >= 0 ? 1 : 0;
  });
}

}  // namespace
}  // namespace cavs::cuda
