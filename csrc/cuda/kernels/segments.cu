// Sums and their kin over the rows that a table lists, one thread for each column, in the order of
// the list: the CPU's bits. And numbers that a table gives.
#include "cuda/kernels/real.h"
// The dtype comes first.
#include "cuda/kernels/log_space.h"
#include "cuda/kernels/tiles.h"

namespace cavs {
namespace cuda {
namespace {

// Element `column` of the row that entry i of the table names.
__device__ __forceinline__ Real listed(const Segments& call, int i, int column) {
  const Real* row =
      row_of<const Real>(call.in, call.table.list == nullptr ? i : call.table.list[i]);
  if (call.table.part != nullptr) row += static_cast<long long>(call.table.part[i]) * call.in.size;
  return row[column];
}

__device__ __forceinline__ Real sum_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real sum = listed(call, begin, column);
#pragma unroll 4
  for (int i = begin + 1; i < end; ++i) sum += listed(call, i, column);
  return sum;
}

__device__ __forceinline__ Real max_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return 0;
  Real top = listed(call, begin, column);
#pragma unroll 4
  for (int i = begin + 1; i < end; ++i) top = maximum_(top, listed(call, i, column));
  return top;
}

// -inf for none. What is subtracted before exp is the maximum, or 0 where the maximum is infinite:
// exp then reaches the limit by itself.
__device__ __forceinline__ Real logsumexp_of(const Segments& call, int begin, int end, int column) {
  if (begin == end) return -infinite();
  const Real first = listed(call, begin, column);
  if (begin + 1 == end) return first;
  Real top = first;
  for (int i = begin + 1; i < end; ++i) top = maximum_(listed(call, i, column), top);
  const Real shift = is_infinite(top) ? Real(0) : top;
  Real total = 0;
#pragma unroll 1
  for (int i = begin; i < end; ++i) total += exp_(listed(call, i, column) - shift);
  return log_(total) + shift;
}

template <class Reduce>
__device__ __forceinline__ void for_each_segment(const Segments& call, Reduce reduce) {
  for_each_element(call.tiling, call.rows, [&](int r, int column) {
    row_of<Real>(call.out, r)[column] =
        reduce(call, call.table.ptr[r], call.table.ptr[r + 1], column);
  });
}

// Softmax over the adjacent edges of a vertex. The thread of the first edge takes them all.
__device__ __forceinline__ void softmax_of_siblings(const Segments& call, int begin, int column) {
  const int* parent = call.table.index;
  if (begin > call.rows.begin && parent[begin - 1] == parent[begin]) return;
  int end = begin + 1;
  while (end < call.rows.end && parent[end] == parent[begin]) ++end;
  const auto x = [&](int e) { return row_of<const Real>(call.in, e)[column]; };
  const auto y = [&](int e) -> Real& { return row_of<Real>(call.out, e)[column]; };
  Real top = x(begin);
  for (int e = begin + 1; e < end; ++e) top = maximum_(x(e), top);
  const Real shift = is_infinite(top) ? Real(0) : top;
  const auto term = [&](int i) {
    const Real value = x(begin + i);
    const Real share = value == infinite() ? Real(1) : Real(0);
    return y(begin + i) = top == infinite() ? share : exp_(value - shift);
  };
  // Numbers that stand side by side are added in the order of a row, as on the CPU.
  const bool row = call.in.ld == 1 && call.out.ld == 1;
  const Real total = total_of_one(end - begin, row ? kLanes : 1, row ? kParts : 1, term);
  const Real scale = total == 0 ? Real(0) : 1 / total;
  for (int e = begin; e < end; ++e) y(e) *= scale;
}

}  // namespace
}  // namespace cuda
}  // namespace cavs

extern "C" __global__ void __launch_bounds__(256) segment_sum(cavs::cuda::Segments call) {
  cavs::cuda::for_each_segment(call, cavs::cuda::sum_of);
}
extern "C" __global__ void __launch_bounds__(256) segment_max(cavs::cuda::Segments call) {
  cavs::cuda::for_each_segment(call, cavs::cuda::max_of);
}
extern "C" __global__ void __launch_bounds__(256) segment_logsumexp(cavs::cuda::Segments call) {
  cavs::cuda::for_each_segment(call, cavs::cuda::logsumexp_of);
}
extern "C" __global__ void __launch_bounds__(256) segment_softmax(cavs::cuda::Segments call) {
  cavs::cuda::for_each_element(call.tiling, call.rows, [&](int edge, int column) {
    cavs::cuda::softmax_of_siblings(call, edge, column);
  });
}

// The number of rows that the table lists.
extern "C" __global__ void __launch_bounds__(256) num_children(cavs::cuda::Segments call) {
  cavs::cuda::for_each_element(call.tiling, call.rows, [&](int r, int) {
    *cavs::cuda::row_of<cavs::Real>(call.out, r) =
        static_cast<cavs::Real>(call.table.ptr[r + 1] - call.table.ptr[r]);
  });
}
// 1 where there is an id, 0 where it is -1.
extern "C" __global__ void __launch_bounds__(256) present(cavs::cuda::Segments call) {
  cavs::cuda::for_each_element(call.tiling, call.rows, [&](int r, int) {
    *cavs::cuda::row_of<cavs::Real>(call.out, r) =
        *cavs::cuda::row_of<const int>(call.in, r) >= 0 ? 1 : 0;
  });
}
