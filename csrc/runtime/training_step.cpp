// Runs a training step: its two runs, and the arithmetic between and after them.
#include "runtime/training_step.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include "base/error.h"

namespace cavs {
namespace {

template <class T>
class Step {
 public:
  Step(const StepPlan& plan, Run* run, const StepInputs& given, int num_threads)
      : plan_(plan),
        run_(*run),
        given_(given),
        threads_(num_threads),
        allocator_(plan.forward->backend->allocator()),
        arithmetic_(plan.forward->backend->step_arithmetic(T{})),
        later_(given.check ? nullptr : plan.forward->backend->later_step(T{})) {}

  StepResult operator()() {
    if (given_.check) run_.set_check_states(true);
    forward();  // which refuses other parameters than the program's by name
    check();
    if (given_.check) result_.refused = run_.nan_state().has_value() || has_nan_output();
    if (result_.refused || !std::isfinite(result_.loss)) return std::move(result_);
    backward();
    collect();
    if (later_) return finish_later();
    if (given_.check) result_.refused = !stays_finite();
    if (result_.refused) return std::move(result_);
    if (given_.clip_norm == 0 || clip()) update(arithmetic_);
    return std::move(result_);
  }

 private:
  // Checks that gradients fit the parameters, and that the order of clipping names gradients.
  void check() const {
    const auto specs = outputs_of(*plan_.backward);
    for (const GradientPart& part : plan_.parts) {
      const int64_t size = specs[static_cast<size_t>(part.output)]->size;
      CAVS_CHECK(part.param < static_cast<int>(given_.params.size()), ErrorKind::kShape,
                 "[step] expected parameter ", part.param, ", got ", given_.params.size(),
                 " parameters; pass all parameters");
      const ExternalArray& param = given_.params[static_cast<size_t>(part.param)];
      const bool fits = part.ids < 0 ? param.elements == size : param.elements % size == 0;
      CAVS_CHECK(fits && param.dtype == plan_.forward->program.dtype, ErrorKind::kShape,
                 "[step] expected a gradient like parameter ", part.param, " of ", param.elements,
                 " elements, got ", size, part.ids < 0 ? " elements" : " elements a row",
                 "; correct the plan");
    }
    for (const int number : given_.clip_order) {
      CAVS_CHECK(number >= 0 && number < static_cast<int>(plan_.params.size()), ErrorKind::kValue,
                 "[step] expected the number of one of ", plan_.params.size(),
                 " gradients to clip, got ", number, "; correct the order");
    }
  }

  std::shared_ptr<Block> make_block(int64_t bytes) const {
    return std::make_shared<Block>(allocator_, std::max<int64_t>(1, bytes));
  }

  ExternalArray make_output(const Executable& exe, const ValueSpec& spec) {
    ExternalArray array;
    array.dtype = spec.dtype;
    array.elements = run_.rows(exe.program, spec.space) * spec.size;
    blocks_.push_back(make_block(array.elements * item_size(spec.dtype)));
    array.data = blocks_.back()->data();
    return array;
  }

  void forward() {
    ArrayLists arrays{given_.params, given_.inputs, {}};
    for (const ValueSpec* spec : outputs_of(*plan_.forward)) {
      arrays.outputs.push_back(make_output(*plan_.forward, *spec));
    }
    run_.forward(arrays, threads_);
    for (const int output : plan_.updates) {
      result_.updates.push_back(blocks_[static_cast<size_t>(output)]);
    }
    pushed_ = arrays.outputs;
    loss_ = arrays.outputs[static_cast<size_t>(plan_.loss)];
    if (later_) {
      later_->take_loss({static_cast<const T*>(loss_.data), loss_.elements}, given_.scale);
      result_.later_loss = later_->loss();
      return;
    }
    // Rounded after each operation, as tensors are.
    result_.loss = arithmetic_.sum({static_cast<const T*>(loss_.data), loss_.elements}) *
                   static_cast<T>(given_.scale);
  }

  StepResult finish_later() {
    if (given_.clip_norm != 0) later_->clip(in_clip_order(), given_.clip_norm);
    update(*later_);
    result_.outcome = later_->outcome();
    return std::move(result_);
  }

  bool has_nan_output() const {
    std::vector<Elements<T>> all;
    for (const ExternalArray& y : pushed_) {
      if (y.dtype == DType::kInt32) continue;
      all.push_back({static_cast<const T*>(y.data), y.elements});
    }
    const std::vector<T> greatest = arithmetic_.max_abs_each(all);
    return std::any_of(greatest.begin(), greatest.end(), [](T x) { return std::isnan(x); });
  }

  // Whether the gradients are finite, and the parameters after the update. Clipping only makes
  // gradients smaller, so the check may come before it.
  bool stays_finite() {
    std::vector<Elements<T>> all;
    for (const StepGradient& gradient : result_.gradients) {
      all.push_back({elements(gradient), count(gradient)});
    }
    const std::vector<T> greatest = arithmetic_.max_abs_each(all);
    if (!std::all_of(greatest.begin(), greatest.end(), [](T x) { return std::isfinite(x); })) {
      return false;
    }
    result_.bounds.resize(result_.gradients.size());
    for (const StepGroup& group : given_.groups) {
      for (const StepUpdate& u : group.updates) {
        const auto i = static_cast<size_t>(u.gradient);
        const StepGradient& gradient = result_.gradients[i];
        const auto after = arithmetic_.bounds_after_update(
            group.settings, update_of(u), greatest[i], given_.known[i], gradient.ids,
            gradient.count, gradient.width);
        if (!after) return false;
        result_.bounds[i] = *after;
      }
    }
    return true;
  }

  void backward() {
    ExternalArray cotangents = loss_;
    blocks_.push_back(make_block(loss_.elements * static_cast<int64_t>(sizeof(T))));
    cotangents.data = blocks_.back()->data();
    arithmetic_.fill(static_cast<T*>(cotangents.data), loss_.elements,
                     static_cast<T>(given_.scale));
    ArrayLists arrays{{}, {cotangents}, {}};
    for (ExternalArray param : given_.params) {
      param.version = -1;  // others may write to it between two runs, unseen
      arrays.params.push_back(param);
    }
    specs_ = outputs_of(*plan_.backward);
    arrays.outputs.resize(specs_.size());
    for (const GradientPart& part : plan_.parts) {
      if (part.ids >= 0) continue;
      const ValueSpec& spec = *specs_[static_cast<size_t>(part.output)];
      ExternalArray& array = arrays.outputs[static_cast<size_t>(part.output)];
      array.dtype = spec.dtype;
      array.elements = spec.size;
      array.data = given_.wholes[number_of(part.param)];
    }
    owners_.resize(specs_.size());
    for (size_t i = 0; i < specs_.size(); ++i) {
      if (arrays.outputs[i].data != nullptr) continue;
      arrays.outputs[i] = make_output(*plan_.backward, *specs_[i]);
      owners_[i] = blocks_.back();
    }
    run_.backward(plan_.backward, arrays, threads_);
    outputs_ = std::move(arrays.outputs);
  }

  size_t number_of(int param) const {
    return static_cast<size_t>(std::lower_bound(plan_.params.begin(), plan_.params.end(), param) -
                               plan_.params.begin());
  }

  // Each parameter's gradient, from its parts.
  void collect() {
    result_.gradients.resize(plan_.params.size());
    for (const GradientPart& part : plan_.parts) {
      StepGradient& gradient = result_.gradients[number_of(part.param)];
      const ExternalArray& output = outputs_[static_cast<size_t>(part.output)];
      if (part.ids < 0) {
        gradient.whole = output.data;
        gradient.elements = output.elements;
      } else {
        add_rows_of(part, &gradient);
      }
    }
  }

  void add_rows_of(const GradientPart& part, StepGradient* gradient) {
    const ExternalArray& ids = outputs_[static_cast<size_t>(part.ids)];
    const ExternalArray& rows = outputs_[static_cast<size_t>(part.output)];
    const int64_t width = specs_[static_cast<size_t>(part.output)]->size;
    RowsView<T> found{static_cast<const int32_t*>(ids.data), static_cast<const T*>(rows.data),
                      ids.elements};
    std::vector<int32_t> known = known_ids(part, ids.elements);
    const bool none = later_ ? !known.empty() && known[0] < 0
                             : arithmetic_.begins_with_none(found.ids, found.count);
    if (none) {  // "no input" has no row
      ++found.ids;
      found.rows += width;
      --found.count;
      if (later_) known.erase(known.begin());
    }
    check_ids(found, known, given_.params[static_cast<size_t>(part.param)].elements / width);
    if (gradient->whole != nullptr) {
      return arithmetic_.add_rows(found, width, static_cast<T*>(gradient->whole));
    }
    if (gradient->count == 0) {
      gradient->ids_block = owners_[static_cast<size_t>(part.ids)];
      gradient->rows_block = owners_[static_cast<size_t>(part.output)];
      gradient->ids = found.ids;
      gradient->rows = const_cast<T*>(found.rows);
      gradient->count = found.count;
      gradient->width = width;
      known_[gradient] = std::move(known);
    } else if (found.count > 0) {
      merge(found, known, width, gradient);
    }
  }

  // A wrong program may give any ids.
  void check_ids(const RowsView<T>& found, const std::vector<int32_t>& known, int64_t rows) const {
    const bool within = later_ ? std::all_of(known.begin(), known.end(),
                                             [rows](int32_t id) { return id >= 0 && id < rows; })
                               : arithmetic_.are_within(found.ids, found.count, rows);
    CAVS_CHECK(within, ErrorKind::kValue,
               "[step] expected ids of rows of the parameter, which has ", rows,
               ", got one outside; correct the program");
  }

  // The ids of the rows of a part, where the device is not waited for: the host has counted them.
  std::vector<int32_t> known_ids(const GradientPart& part, int64_t count) const {
    if (!later_) return {};
    const int32_t* ids = run_.distinct_ids(*plan_.backward, part.ids);
    return std::vector<int32_t>(ids, ids + count);
  }

  void merge(const RowsView<T>& more, const std::vector<int32_t>& more_ids, int64_t width,
             StepGradient* gradient) {
    const RowsView<T> held{gradient->ids, static_cast<const T*>(gradient->rows), gradient->count};
    const int64_t most = held.count + more.count;
    auto ids = make_block(most * static_cast<int64_t>(sizeof(int32_t)));
    auto rows = make_block(most * width * static_cast<int64_t>(sizeof(T)));
    auto* first_id = reinterpret_cast<int32_t*>(ids->data());
    auto* first_row = reinterpret_cast<T*>(rows->data());
    if (later_) {
      later_->merge_rows(held, more, width, first_id, first_row);
      std::vector<int32_t>& known = known_[gradient];
      std::vector<int32_t> all;
      std::set_union(known.begin(), known.end(), more_ids.begin(), more_ids.end(),
                     std::back_inserter(all));
      known = std::move(all);
      gradient->count = static_cast<int64_t>(known.size());
    } else {
      gradient->count = arithmetic_.merge_rows(held, more, width, first_id, first_row);
    }
    gradient->ids = first_id;
    gradient->rows = first_row;
    gradient->ids_block = std::move(ids);
    gradient->rows_block = std::move(rows);
  }

  // Scales the gradients down to the norm asked for. Returns whether their norm is finite; where it
  // is not, they stay as they are.
  bool clip() {
    double sum = 0;
    for (const Elements<T>& all : in_clip_order()) sum += arithmetic_.sum_squares(all);
    result_.norm = std::sqrt(sum);
    if (!std::isfinite(result_.norm)) return false;
    if (result_.norm <= given_.clip_norm) return true;
    for (const StepGradient& gradient : result_.gradients) {
      arithmetic_.scale(elements(gradient), given_.clip_norm / result_.norm, count(gradient));
    }
    return true;
  }

  std::vector<Elements<T>> in_clip_order() const {
    std::vector<Elements<T>> all;
    for (const int number : given_.clip_order) {
      const StepGradient& gradient = result_.gradients[static_cast<size_t>(number)];
      all.push_back({elements(gradient), count(gradient)});
    }
    return all;
  }

  static T* elements(const StepGradient& gradient) {
    return static_cast<T*>(gradient.whole != nullptr ? gradient.whole : gradient.rows);
  }
  static int64_t count(const StepGradient& gradient) {
    return gradient.whole != nullptr ? gradient.elements : gradient.count * gradient.width;
  }

  DenseUpdate<T> update_of(const StepUpdate& u) const {
    const StepGradient& gradient = result_.gradients[static_cast<size_t>(u.gradient)];
    return {static_cast<T*>(u.param),  elements(gradient), static_cast<T*>(u.first),
            static_cast<T*>(u.second), count(gradient),    u.step,
            static_cast<T*>(u.third)};
  }

  // `updates`: StepArithmetic, or LaterStep.
  template <class Updates>
  void update(Updates& updates) const {
    for (const StepGroup& group : given_.groups) {
      std::vector<DenseUpdate<T>> wholes;
      for (const StepUpdate& u : group.updates) {
        const StepGradient& gradient = result_.gradients[static_cast<size_t>(u.gradient)];
        const DenseUpdate<T> update = update_of(u);
        if (gradient.whole != nullptr) {
          wholes.push_back(update);
        } else {
          updates.update_rows(group.settings, update, gradient.ids, gradient.count, gradient.width);
        }
      }
      if (!wholes.empty()) updates.update(group.settings, wholes);
    }
  }

  const StepPlan& plan_;
  Run& run_;
  const StepInputs& given_;
  const int threads_;
  Allocator& allocator_;
  const StepArithmetic<T>& arithmetic_;
  const std::unique_ptr<LaterStep<T>> later_;  // null where numbers are known at once
  std::map<const StepGradient*, std::vector<int32_t>> known_;  // ids of rows, with later_
  std::vector<ExternalArray> pushed_;                          // outputs of forward
  ExternalArray loss_;
  std::vector<const ValueSpec*> specs_;  // [output of backward]
  std::vector<std::shared_ptr<Block>> blocks_;
  std::vector<std::shared_ptr<Block>> owners_;  // [output of backward] null where the caller's
  std::vector<ExternalArray> outputs_;          // of backward
  StepResult result_;
};

}  // namespace

StepResult run_training_step(const StepPlan& plan, Run* run, const StepInputs& given,
                             int num_threads) {
  if (plan.forward->program.dtype == DType::kFloat64) {
    return Step<double>(plan, run, given, num_threads)();
  }
  return Step<float>(plan, run, given, num_threads)();
}

}  // namespace cavs
