// Computes the sums, norms and updates of a training step with the kernels of the optimisers.
#include "cpu/step_arithmetic.h"

#include <algorithm>
#include <type_traits>

#include "base/denormals.h"
#include "cpu/kernels/optimizers.h"
#include "cpu/kernels/row_sparse.h"
#include "cpu/kernels/update_bounds.h"

namespace cavs {
namespace {

template <class T>
constexpr DType kDType = std::is_same_v<T, double> ? DType::kFloat64 : DType::kFloat32;

// Sums, norms and updates take denormals as separate calls do.
template <class T>
class CpuStepArithmetic final : public StepArithmetic<T> {
 public:
  void fill(T* x, int64_t n, T value) const override { std::fill_n(x, n, value); }

  T sum(const Elements<T>& x) const override {
    const DenormalScope scope(kDType<T>);
    return static_cast<T>(sum_all<T>(x.data, x.n));
  }

  double sum_squares(const Elements<T>& x) const override {
    const DenormalScope scope(kDType<T>);
    return cavs::sum_squares<T>(x.data, x.n);
  }

  void scale(T* x, double factor, int64_t n) const override {
    const DenormalScope scope(kDType<T>);
    scale_in_place<T>(x, factor, n);
  }

  std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays) const override {
    return cavs::max_abs_each(arrays);
  }

  void update(const OptimizerSettings& settings,
              const std::vector<DenseUpdate<T>>& updates) const override {
    const DenormalScope scope(kDType<T>);
    optimizer_step(settings, updates);
  }

  void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                   const int32_t* ids, int64_t count, int64_t width) const override {
    const DenormalScope scope(kDType<T>);
    optimizer_step_rows(settings, update, ids, count, width);
  }

  std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                  const DenseUpdate<T>& update, double grad,
                                                  const std::optional<UpdateBounds>& known,
                                                  const int32_t* ids, int64_t count,
                                                  int64_t width) const override {
    return cavs::bounds_after_update<T>(settings, update, grad, known, ids, count, width);
  }

  bool begins_with_none(const int32_t* ids, int64_t count) const override {
    return count > 0 && ids[0] < 0;
  }

  bool are_within(const int32_t* ids, int64_t count, int64_t rows) const override {
    return std::all_of(ids, ids + count, [rows](int32_t id) { return id >= 0 && id < rows; });
  }

  int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                     T* rows) const override {
    return cavs::merge_rows(a, b, width, ids, rows);
  }

  void add_rows(const RowsView<T>& a, int64_t width, T* whole) const override {
    cavs::add_rows(a, width, whole);
  }
};

}  // namespace

template <class T>
const StepArithmetic<T>& cpu_step_arithmetic() {
  // Never destroyed: a training step may go on while the process ends.
  static const auto* const arithmetic = new CpuStepArithmetic<T>;
  return *arithmetic;
}

template const StepArithmetic<float>& cpu_step_arithmetic<float>();
template const StepArithmetic<double>& cpu_step_arithmetic<double>();

}  // namespace cavs
