// Whole arrays: filled, scaled, summed up, and their greatest magnitudes.
#include "cuda/kernels/step_tiles.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ long long first_element() {
  return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ long long elements_at_once() {
  return static_cast<long long>(gridDim.x) * blockDim.x;
}

// Four sums, so that a sum need not wait for the one before.
__device__ __forceinline__ double sum_of_tile(const Real* x, long long begin, long long end,
                                              int squares) {
  constexpr int kSums = 4;
  double sums[kSums] = {};
  for (long long first = begin + threadIdx.x; first < end; first += kSums * blockDim.x) {
#pragma unroll
    for (int k = 0; k < kSums; ++k) {
      const long long i = first + k * static_cast<long long>(blockDim.x);
      const double value = i < end ? static_cast<double>(x[i]) : 0;
      sums[k] += squares != 0 ? value * value : value;
    }
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0; }

// As a step of the CPU rounds.
__device__ __forceinline__ void take_total(const SumCall<Real>& call, double total) {
  StepState& state = call.memory->state;
  state.sum = call.goes_on != 0 ? state.sum + total : total;
  if (call.total == Total::kLoss) {
    state.loss = static_cast<Real>(state.sum) * static_cast<Real>(call.number);
    if (!is_finite(state.loss)) state.finite = 0;
  }
  if (call.total == Total::kNorm && state.finite != 0) {
    state.norm = sqrt(state.sum);
    if (!is_finite(state.norm)) state.finite = 0;
    const bool clips = call.number != 0 && state.norm > call.number;
    state.factor = clips ? call.number / state.norm : 1;
  }
}

// Without the sign bit, the bits of numbers have as integers the order of the numbers: infinity
// comes after all finite numbers, and NaN after infinity.
__device__ __forceinline__ unsigned magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }
__device__ __forceinline__ unsigned long long magnitude(double x) {
  return static_cast<unsigned long long>(__double_as_longlong(x)) & 0x7fffffffffffffffull;
}
using Magnitude = decltype(magnitude(Real()));

// The greatest of integers is the same in any order.
__device__ __forceinline__ void take_greatest(Real* out, Magnitude greatest) {
  if (greatest != 0) atomicMax(reinterpret_cast<Magnitude*>(out), greatest);
}

}  // namespace
}  // namespace cavs::cuda

using namespace cavs;
using namespace cavs::cuda;

extern "C" __global__ void __launch_bounds__(256) fill(Real* x, long long n, Real value) {
  for (long long i = first_element(); i < n; i += elements_at_once()) x[i] = value;
}

extern "C" __global__ void __launch_bounds__(256) scale_arrays(ScaleCall<Real> call) {
  if (call.go_on != nullptr && *call.go_on == 0) return;
  const double wanted = call.device_factor != nullptr ? *call.device_factor : call.factor;
  if (wanted == 1) return;
  const Real factor = static_cast<Real>(wanted);
  for_each_tile(call.list,
                [&](const ArrayItem<Real>& item, int, long long begin, long long end, int) {
                  for (long long i = begin + threadIdx.x; i < end; i += blockDim.x)
                    item.data[i] *= factor;
                });
}

extern "C" __global__ void __launch_bounds__(32) begin_step(StepMemory* memory) {
  if (threadIdx.x != 0) return;
  memory->state = StepState();
  memory->arrived = 0;
}

// The loss, rounded to the dtype already.
extern "C" __global__ void __launch_bounds__(32) write_loss(const StepMemory* memory, Real* loss) {
  if (threadIdx.x == 0) *loss = static_cast<Real>(memory->state.loss);
}

// The block that comes last sums up what all blocks found, in the order of the tiles.
extern "C" __global__ void __launch_bounds__(256) sum_arrays(SumCall<Real> call) {
  __shared__ double shared[kThreads];
  __shared__ int is_last;
  const auto add = [](double a, double b) { return a + b; };
  double* const parts = call.memory->parts;
  for_each_tile(call.list, [&](const ArrayItem<const Real>& item, int, long long begin,
                               long long end, int tile) {
    const double sum = combine_block(sum_of_tile(item.data, begin, end, call.squares), shared, add);
    if (threadIdx.x == 0) parts[tile] = sum;
  });
  if (threadIdx.x == 0) {
    __threadfence();
    is_last = atomicAdd(&call.memory->arrived, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (is_last == 0) return;
  double sum = 0;
  const int tiles = tiles_of(call.list);
  for (int i = threadIdx.x; i < tiles; i += blockDim.x) sum += __ldcg(parts + i);
  sum = combine_block(sum, shared, add);
  if (threadIdx.x != 0) return;
  call.memory->arrived = 0;
  take_total(call, sum);
}

extern "C" __global__ void __launch_bounds__(256) greatest_of_arrays(GreatestCall<Real> call) {
  __shared__ Magnitude shared[kThreads];
  for_each_tile(call.list, [&](const ArrayItem<const Real>& item, int number, long long begin,
                               long long end, int) {
    Magnitude top = 0;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
      top = max(top, magnitude(item.data[i]));
    }
    top = combine_block(top, shared, [](Magnitude a, Magnitude b) { return max(a, b); });
    if (threadIdx.x == 0) take_greatest(call.out + number, top);
  });
}

extern "C" __global__ void __launch_bounds__(256) greatest_of_rows(GreatestRowsCall<Real> call) {
  __shared__ Magnitude shared[kThreads];
  for (int k = 0; k < 3; ++k) {
    if (call.arrays[k] == nullptr) continue;
    Magnitude top = 0;
    for_each_element(call.tiling, call.rows, [&](int row, int column) {
      const long long id = call.ids[row];
      if (id < 0) return;
      top = max(top, magnitude(call.arrays[k][id * call.tiling.columns + column]));
    });
    top = combine_block(top, shared, [](Magnitude a, Magnitude b) { return max(a, b); });
    if (threadIdx.x == 0) take_greatest(call.out + k, top);
  }
}

// *outside becomes 1 where an id is not among 0..rows - 1.
extern "C" __global__ void __launch_bounds__(256)
    find_outside(const int* ids, int count, long long rows, int* outside) {
  for (long long i = first_element(); i < count; i += elements_at_once()) {
    if (ids[i] < 0 || ids[i] >= rows) *outside = 1;
  }
}
