// A training step in which the host does not wait for the device: what depends on the loss or on a
// norm is decided there.
#pragma once

#include <memory>
#include <vector>

#include "memory/allocator.h"
#include "runtime/step_arithmetic.h"

namespace cavs {

// The numbers of such a step, once the device has them.
class StepOutcome {
 public:
  virtual ~StepOutcome() = default;
  // Whether they are known by now; does not wait. The others wait for the device.
  virtual bool is_known() const = 0;
  virtual double loss() const = 0;
  virtual double norm() const = 0;  // of all gradients before clipping; 0 without clipping
};

// Calls in the order of the functions. Where the loss or the norm is not finite, gradients stay as
// they are and nothing is updated. All arrays are of the device.
template <class T>
class LaterStep {
 public:
  virtual ~LaterStep() = default;

  // The loss is the sum of these elements times `scale`.
  virtual void take_loss(const Elements<T>& x, double scale) = 0;
  // The loss as an array of one element.
  virtual std::shared_ptr<Block> loss() const = 0;
  // See StepArithmetic::merge_rows. `ids` and `rows` have room for the rows of both; those behind
  // the sum's are zeros of id -1.
  virtual void merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                          T* rows) = 0;
  // Brings the norm of all arrays together down to clip_norm > 0.
  virtual void clip(const std::vector<Elements<T>>& gradients, double clip_norm) = 0;
  virtual void update(const OptimizerSettings& settings,
                      const std::vector<DenseUpdate<T>>& updates) = 0;
  virtual void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                           const int32_t* ids, int64_t count, int64_t width) = 0;
  // At the end.
  virtual std::shared_ptr<StepOutcome> outcome() = 0;
};

}  // namespace cavs
