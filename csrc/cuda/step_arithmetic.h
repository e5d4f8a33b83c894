// The arithmetic of training steps on a GPU, on the current stream of the calling thread.
//
// Fills, scalings and updates are put on the stream; a function that returns a number synchronises
// it once. DeviceStep is the way of a whole step in which the host waits for nothing: its sums stay
// on the device, and what depends on them is decided there.
//
// Sums run over parts that the arrays' sizes alone determine, in float64, and parts are summed up
// in order: the same bits in every run.
#pragma once

#include <optional>
#include <vector>

#include "cuda/gpus.h"
#include "cuda/kernels/step_calls.h"
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

  // merge_rows() without waiting: the sum has a.count + b.count rows, of which those behind the
  // last are zeros of id -1. Updates pass over them, and no sum changes by them. `before` has room
  // for a.count + 1 numbers.
  void merge_rows_later(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                        T* rows, int32_t* before) const;

 private:
  OpenGpu& open_;
};

// A training step that goes on without the host. In this order:
//
//   DeviceStep<float> step(open, memory);  // memory: kBytes on the device, as long as the step
//   step.begin();
//   step.take_loss(loss, scale);           // after forward
//   step.take_norm(gradients, clip_norm);  // after backward; where gradients are clipped
//   step.clip(gradients);
//   step.update(settings, updates);        // and update_rows; as often as there are groups
//   step.read(&state);                     // holds after the stream was synchronised
//
// Where the loss or the norm is not finite, gradients stay as they are and nothing is updated.
// Nothing allocates memory, so that a step may be captured as a graph.
template <class T>
class DeviceStep {
 public:
  static constexpr size_t kBytes = sizeof(StepMemory);

  // `memory` is aligned to 256 bytes.
  DeviceStep(OpenGpu& open, Address memory) : open_(open), memory_(memory) {}

  void begin() const;
  // The loss is the sum of these elements times `scale`.
  void take_loss(const Elements<T>& x, double scale) const;
  // The norm of all arrays together, and the factor that brings it down to clip_norm. 0: none.
  void take_norm(const std::vector<Elements<T>>& gradients, double clip_norm) const;
  // Multiplies the arrays by that factor.
  void clip(const std::vector<Elements<T>>& gradients) const;
  // As those of StepArithmetic. At most kMostItems parameters of one step number are one launch.
  void update(const OptimizerSettings& settings, const std::vector<DenseUpdate<T>>& updates) const;
  void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                   const int32_t* ids, int64_t count, int64_t width) const;
  // Pinned memory, so that the host need not wait for the copy.
  void read(StepState* state) const;

 private:
  StepMemory* memory() const { return reinterpret_cast<StepMemory*>(memory_); }
  const int* go_on() const;

  OpenGpu& open_;
  const Address memory_;
};

}  // namespace cavs::cuda
