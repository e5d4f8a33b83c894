// The arithmetic of training steps on a GPU, on the current stream of the calling thread.
//
// Fills, scalings and updates are put on the stream; a function that returns a number synchronises
// it once. A step in which the host waits for nothing is a LaterStep (later_step.h).
//
// Sums run over parts that the arrays' sizes alone determine, in float64, and parts are summed up
// in order: the same bits in every run.
#pragma once

#include <optional>
#include <vector>

#include "cuda/driver/gpus.h"
#include "runtime/step_arithmetic.h"

namespace cavs::cuda {

template <class T>
class CudaStepArithmetic final : public StepArithmetic<T> {
 public:
  // The GPU must live as long. All addresses below are of its memory, where they are not of lists.
  explicit CudaStepArithmetic(OpenGpu& open) : open_(open) {}

  void fill(T* x, int64_t n, T value) const override;
  T sum(const Elements<T>& x) const override;
  double sum_squares(const Elements<T>& x) const override;
  void scale(T* x, double factor, int64_t n) const override;
  std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays) const override;
  void update(const OptimizerSettings& settings,
              const std::vector<DenseUpdate<T>>& updates) const override;
  void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                   const int32_t* ids, int64_t count, int64_t width) const override;
  std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                  const DenseUpdate<T>& update, double grad,
                                                  const std::optional<UpdateBounds>& known,
                                                  const int32_t* ids, int64_t count,
                                                  int64_t width) const override;
  bool begins_with_none(const int32_t* ids, int64_t count) const override;
  bool are_within(const int32_t* ids, int64_t count, int64_t rows) const override;
  int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                     T* rows) const override;
  void add_rows(const RowsView<T>& a, int64_t width, T* whole) const override;

 private:
  OpenGpu& open_;
};

}  // namespace cavs::cuda
