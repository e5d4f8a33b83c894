// The arithmetic of a training step besides runs: sums, norms and updates over whole arrays of its
// device.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace cavs {

struct SgdSettings {
  double lr = 0;
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;
};

struct AdagradSettings {
  double lr = 0;
  double eps = 0;
  double weight_decay = 0;
};

struct AdamSettings {
  double lr = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double weight_decay = 0;
  bool decoupled = false;  // AdamW: the decay scales the parameter instead of joining the gradient
  bool sparse = false;     // torch.optim.SparseAdam: eps joins before the bias correction
};

struct RmspropSettings {
  double lr = 0;
  double alpha = 0;
  double eps = 0;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;
};

// The settings of one optimiser; `AdamSettings::sparse` is set where rows are updated.
using OptimizerSettings = std::variant<SgdSettings, AdagradSettings, AdamSettings, RmspropSettings>;

// A parameter, its gradient and the optimiser's arrays for it, n elements each.
template <class T>
struct DenseUpdate {
  T* param = nullptr;
  const T* grad = nullptr;
  // The optimiser's arrays, null where it has fewer. SGD: momentum, where settings.momentum != 0;
  // Adagrad: sum; Adam: m, v; RMSprop: the mean of squares, then momentum, where it is not 0, then
  // the mean, where settings.centered.
  T* first = nullptr;
  T* second = nullptr;
  int64_t n = 0;
  int64_t step = 1;  // Adam: number of the update, from 1
  T* third = nullptr;
};

template <class T>
struct Elements {
  const T* data = nullptr;
  int64_t n = 0;
};

// A matrix of which some rows are given, by ascending distinct ids; all other rows are zeros.
template <class T>
struct RowsView {
  const int32_t* ids = nullptr;
  const T* rows = nullptr;
  int64_t count = 0;
};

// Upper bounds for the magnitudes of a parameter and of the optimiser's arrays for it. Of the third
// there is none: it does not decide whether the parameter stays finite.
struct UpdateBounds {
  double param = 0, first = 0, second = 0;
};

template <class T>
class StepArithmetic {
 public:
  virtual ~StepArithmetic() = default;

  virtual void fill(T* x, int64_t n, T value) const = 0;
  // The result is the same to the last bit for any number of threads.
  virtual T sum(const Elements<T>& x) const = 0;
  virtual double sum_squares(const Elements<T>& x) const = 0;
  virtual void scale(T* x, double factor, int64_t n) const = 0;
  // The greatest magnitude of each array: 0 for an empty array, infinite or NaN where an element
  // is.
  virtual std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays) const = 0;

  virtual void update(const OptimizerSettings& settings,
                      const std::vector<DenseUpdate<T>>& updates) const = 0;
  // Row i of the update's gradient has `width` elements and belongs to parameter row ids[i]. The
  // update's n is not read.
  virtual void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                           const int32_t* ids, int64_t count, int64_t width) const = 0;
  // Bounds after an update by a gradient of at most `grad`, computed from the bounds before it
  // where these are known. None where the parameter may not be finite afterwards (see
  // runtime/update_bounds.h).
  virtual std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                          const DenseUpdate<T>& update, double grad,
                                                          const std::optional<UpdateBounds>& known,
                                                          const int32_t* ids, int64_t count,
                                                          int64_t width) const = 0;

  // Whether the first id is that of "no input", which is negative and has no row.
  virtual bool begins_with_none(const int32_t* ids, int64_t count) const = 0;
  // Whether all ids are among 0..rows - 1.
  virtual bool are_within(const int32_t* ids, int64_t count, int64_t rows) const = 0;
  // Adds two matrices that are given by rows; a row that only one of them has is copied. `ids` and
  // `rows` have room for the rows of both. Returns the number of rows.
  virtual int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width,
                             int32_t* ids, T* rows) const = 0;
  // Adds the rows to the whole matrix.
  virtual void add_rows(const RowsView<T>& a, int64_t width, T* whole) const = 0;
};

}  // namespace cavs
