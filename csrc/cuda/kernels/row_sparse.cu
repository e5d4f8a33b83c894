// Matrices of which some rows are given, by ascending distinct ids: their sums.
#include "cuda/kernels/real.h"
#include "cuda/kernels/step_calls.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

// Number of ids below `id`.
__device__ __forceinline__ int ids_below(const int* ids, int count, int id) {
  int low = 0, high = count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (ids[middle] < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

__device__ __forceinline__ bool has_id(const int* ids, int count, int place, int id) {
  return place < count && ids[place] == id;
}

}  // namespace
}  // namespace cavs::cuda

using namespace cavs;
using namespace cavs::cuda;

// before[i] for 0 .. a_count; by one block, since each number needs those before it.
extern "C" __global__ void __launch_bounds__(256) count_common(MergeCall<Real> call) {
  __shared__ int sums[kThreads];
  int before = 0;
  for (int first = 0; first <= call.a_count; first += kThreads) {
    const int i = first + threadIdx.x;
    int common = 0;
    if (i < call.a_count) {
      const int id = call.a_ids[i];
      const int place = ids_below(call.b_ids, call.b_count, id);
      common = has_id(call.b_ids, call.b_count, place, id) ? 1 : 0;
    }
    __syncthreads();
    sums[threadIdx.x] = common;
    for (int step = 1; step < kThreads; step *= 2) {  // sums of all up to the thread's own
      __syncthreads();
      const int more = threadIdx.x >= step ? sums[threadIdx.x - step] : 0;
      __syncthreads();
      sums[threadIdx.x] += more;
    }
    __syncthreads();
    if (i <= call.a_count) call.before[i] = before + sums[threadIdx.x] - common;
    before += sums[kThreads - 1];
  }
}

// Each row of both matrices goes to its place; of an id that both have, b's row is added to a's.
// The places of b's rows of such ids are those behind the last row of the sum, which they fill.
extern "C" __global__ void __launch_bounds__(256) merge_rows(MergeCall<Real> call) {
  const long long width = call.tiling.columns;
  for_each_element(call.tiling, call.rows, [&](int row, int column) {
    const bool of_a = row < call.a_count;
    const int i = of_a ? row : row - call.a_count;
    const int id = of_a ? call.a_ids[i] : call.b_ids[i];
    const int other =
        of_a ? ids_below(call.b_ids, call.b_count, id) : ids_below(call.a_ids, call.a_count, id);
    const bool both = of_a ? has_id(call.b_ids, call.b_count, other, id)
                           : has_id(call.a_ids, call.a_count, other, id);
    const int common = call.before[of_a ? i : other];
    int place = i + other - common, written = id;
    Real value = of_a ? call.a[i * width + column] : call.b[i * width + column];
    if (both && of_a) value += call.b[other * width + column];
    if (both && !of_a) {
      place = call.a_count + call.b_count - 1 - common;
      written = -1;
      value = 0;
    }
    call.sum[place * width + column] = value;
    if (column == 0) call.ids[place] = written;
  });
}

extern "C" __global__ void __launch_bounds__(256) add_rows(AddRowsCall<Real> call) {
  const long long width = call.tiling.columns;
  for_each_element(call.tiling, call.rows, [&](int row, int column) {
    call.whole[call.ids[row] * width + column] += call.part[row * width + column];
  });
}
