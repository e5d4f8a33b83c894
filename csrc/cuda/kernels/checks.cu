// Looks for NaN in states as they are written.
#include "cuda/kernels/call.h"

// Lowers *place to row << 16 | state for each row with a NaN: see FirstNan in runtime/states.h. The
// least of integers is the same in any order.
extern "C" __global__ void __launch_bounds__(256)
    find_nan(const CAVS_REAL* data, int ld, int width, cavs::cuda::Rows rows, int state,
             unsigned long long* place) {
  const long long count = static_cast<long long>(rows.end - rows.begin) * width;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; i < count;
       i += step) {
    const long long row = rows.begin + i / width;
    const CAVS_REAL x = data[row * ld + i % width];
    if (x != x) atomicMin(place, static_cast<unsigned long long>(row << 16 | state));
  }
}
