// The updates of parameters, all of one launch.
#include "cuda/kernels/step_tiles.h"
#include "cuda/kernels/tiles.h"
#include "runtime/optimizer_formulas.h"

namespace cavs::cuda {
namespace {

__device__ __forceinline__ Real* kept_at(Real* kept, long long at) {
  return kept == nullptr ? nullptr : kept + at;
}

// The step of one element: `at` in the parameter, `from` in the gradient.
__device__ __forceinline__ void step(const SgdRates<Real>& rates, const UpdateItem<Real>& u,
                                     long long at, long long from) {
  sgd_step(rates, u.param[at], u.grad[from], kept_at(u.first, at));
}
__device__ __forceinline__ void step(const AdagradRates<Real>& rates, const UpdateItem<Real>& u,
                                     long long at, long long from) {
  adagrad_step(rates, u.param[at], u.grad[from], u.first[at]);
}
__device__ __forceinline__ void step(const AdamRates<Real>& rates, const UpdateItem<Real>& u,
                                     long long at, long long from) {
  adam_step(rates, u.param[at], u.grad[from], u.first[at], u.second[at]);
}
__device__ __forceinline__ void step(const RmspropRates<Real>& rates, const UpdateItem<Real>& u,
                                     long long at, long long from) {
  rmsprop_step(rates, u.param[at], u.grad[from], u.first[at], kept_at(u.second, at),
               kept_at(u.third, at));
}

template <class Rates>
__device__ __forceinline__ void update(const UpdateCall<Real, Rates>& call) {
  if (call.go_on != nullptr && *call.go_on == 0) return;
  for_each_tile(call.list,
                [&](const UpdateItem<Real>& item, int, long long begin, long long end, int) {
                  for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
                    step(call.rates, item, i, i);
                  }
                });
}

template <class Rates>
__device__ __forceinline__ void update_rows(const UpdateRowsCall<Real, Rates>& call) {
  if (call.go_on != nullptr && *call.go_on == 0) return;
  for_each_element(call.tiling, call.rows, [&](int row, int column) {
    const int id = call.ids[row];
    const long long width = call.tiling.columns;
    if (id >= 0) step(call.rates, call.update, id * width + column, row * width + column);
  });
}

}  // namespace
}  // namespace cavs::cuda

using namespace cavs;
using namespace cavs::cuda;

extern "C" __global__ void __launch_bounds__(256) update_sgd(UpdateCall<Real, SgdRates<Real>> c) {
  update(c);
}
extern "C" __global__ void __launch_bounds__(256)
    update_adagrad(UpdateCall<Real, AdagradRates<Real>> c) {
  update(c);
}
extern "C" __global__ void __launch_bounds__(256) update_adam(UpdateCall<Real, AdamRates<Real>> c) {
  update(c);
}
extern "C" __global__ void __launch_bounds__(256)
    update_rmsprop(UpdateCall<Real, RmspropRates<Real>> c) {
  update(c);
}

extern "C" __global__ void __launch_bounds__(256)
    update_rows_sgd(UpdateRowsCall<Real, SgdRates<Real>> c) {
  update_rows(c);
}
extern "C" __global__ void __launch_bounds__(256)
    update_rows_adagrad(UpdateRowsCall<Real, AdagradRates<Real>> c) {
  update_rows(c);
}
extern "C" __global__ void __launch_bounds__(256)
    update_rows_adam(UpdateRowsCall<Real, AdamRates<Real>> c) {
  update_rows(c);
}
extern "C" __global__ void __launch_bounds__(256)
    update_rows_rmsprop(UpdateRowsCall<Real, RmspropRates<Real>> c) {
  update_rows(c);
}
