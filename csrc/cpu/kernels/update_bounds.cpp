// Measures the magnitudes that bound an optimiser's step.
#include "cpu/kernels/update_bounds.h"

#include "runtime/update_bounds.h"

namespace cavs {
namespace {

template <class T>
double greatest(const T* x, int64_t n, const int32_t* ids, int64_t count, int64_t d) {
  if (x == nullptr) return 0;
  return ids == nullptr ? max_abs(x, n) : max_abs_rows(x, ids, count, d);
}

}  // namespace

template <class T>
std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                const DenseUpdate<T>& update, double grad,
                                                const std::optional<UpdateBounds>& known,
                                                const int32_t* ids, int64_t count, int64_t d) {
  const auto measure = [&]() -> UpdateBounds {
    return {greatest(update.param, update.n, ids, count, d),
            greatest(update.first, update.n, ids, count, d),
            greatest(update.second, update.n, ids, count, d)};
  };
  return bounds_after_update<T>(settings, update.step, grad, known, ids != nullptr, measure);
}

#define CAVS_INSTANTIATE(T)                                                                        \
  template std::optional<UpdateBounds> bounds_after_update(                                        \
      const OptimizerSettings&, const DenseUpdate<T>&, double, const std::optional<UpdateBounds>&, \
      const int32_t*, int64_t, int64_t);
CAVS_INSTANTIATE(float)
CAVS_INSTANTIATE(double)
#undef CAVS_INSTANTIATE

}  // namespace cavs
