// The gradient of a weight, summed over rows: a block for each element, whose threads take the
// places of all rows in turns. The order depends on the rows alone.
#include "cuda/kernels/convolution.h"

extern "C" __global__ void __launch_bounds__(256)
    conv_weight_reduce(const __grid_constant__ cavs::cuda::Convolution call) {
  using namespace cavs::cuda;
  using cavs::Real;
  const int places = call.places[1] * call.places[2], rows = call.rows.end - call.rows.begin;
  const long long terms = static_cast<long long>(rows) * places;
  Real* const out = static_cast<Real*>(call.out.data);
  for (int element = blockIdx.x; element < call.out.size; element += gridDim.x) {
    const Tap it = tap_of(call, element);
    Real sum = 0;
    for (long long term = threadIdx.x; it.used && term < terms; term += blockDim.x) {
      const int row = static_cast<int>(quotient(term, places));
      const int place = static_cast<int>(term - static_cast<long long>(row) * places);
      sum += term_of(call, it, call.rows.begin + row, place);
    }
    sum = static_cast<Real>(meet(sum, Plus()));
    if (threadIdx.x == 0) out[element] = call.goes_on != 0 ? out[element] + sum : sum;
  }
}
