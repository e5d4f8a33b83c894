// A training step in one call, the interpreter's lock released once.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "bindings/bindings.h"
#include "bindings/device_arrays.h"
#include "bindings/optim_arrays.h"
#include "bindings/program.h"
#include "bindings/read.h"
#include "bindings/run_arrays.h"
#include "bindings/unlocked.h"
#include "graph/schedule.h"
#include "runtime/training_step.h"

namespace cavs {
namespace {

Device device_of(const StepPlan& plan) { return plan.forward->backend->device(); }

// The arrays of a call, held while the interpreter runs other threads.
class Arrays {
 public:
  Arrays(const StepPlan& plan, const py::object& params, const py::object& inputs,
         const py::object& grads)
      : all_params_(read_arrays(params, "step", "parameter", false, device_of(plan))),
        inputs_(read_inputs(inputs, "step", device_of(plan))) {
    CAVS_CHECK(plan.params.empty() || all_params_.size() > static_cast<size_t>(plan.params.back()),
               ErrorKind::kShape, "[step] expected ", plan.params.back() + 1,
               " parameters or more, got ", all_params_.size(), "; pass all parameters");
    const py::tuple given = read_items(grads, "step", "gradients");
    CAVS_CHECK(given.size() == plan.params.size(), ErrorKind::kShape,
               "[step] expected a gradient or None for each of ", plan.params.size(),
               " parameters, got ", given.size(), "; pass one for each");
    for (size_t i = 0; i < plan.params.size(); ++i) {
      params_.push_back(&all_params_[static_cast<size_t>(plan.params[i])]);
      params_[i]->expect_writable();
      params_[i]->expect_float();
      grads_.emplace_back();
      if (given[i].is_none()) continue;
      grads_[i].emplace(optim_array("grad", given[i], true, device_of(plan)));
      grads_[i]->expect_like(*params_[i]);
      grads_[i]->expect_apart(*params_[i]);
    }
  }

  std::vector<ExternalArray> params() const { return external(all_params_); }
  std::vector<ExternalArray> inputs() const { return external(inputs_); }

  std::vector<void*> wholes() const {
    std::vector<void*> found;
    for (const auto& grad : grads_) found.push_back(grad ? grad->data<void>() : nullptr);
    return found;
  }

  // Reads (settings, [(number of the gradient, step, states...)]).
  StepGroup read_group(py::handle item) {
    const py::tuple fields = read_tuple(item, 2, "step", "a group");
    StepGroup group;
    group.settings = read_as<OptimizerSettings>(fields[0], "step", "settings of an optimizer");
    const size_t states = num_states(group.settings);
    for (const py::handle update : read_items(fields[1], "step", "updates")) {
      group.updates.push_back(read_update(read_tuple(update, 2 + states, "step", "an update")));
    }
    return group;
  }

 private:
  StepUpdate read_update(const py::tuple& fields) {
    StepUpdate update;
    update.gradient = read_as<int>(fields[0], "step", "the number of a gradient");
    CAVS_CHECK(update.gradient >= 0 && update.gradient < static_cast<int>(params_.size()),
               ErrorKind::kValue, "[step] expected the number of one of ", params_.size(),
               " gradients, got ", update.gradient, "; number it among them");
    const Array& param = *params_[static_cast<size_t>(update.gradient)];
    const auto& grad = grads_[static_cast<size_t>(update.gradient)];
    update.param = param.data<void>();
    update.step = read_as<int64_t>(fields[1], "step", "the number of an update");
    expect_step(update.step);
    void** places[] = {&update.first, &update.second, &update.third};
    for (size_t i = 2; i < fields.size(); ++i) {
      Array state = state_like(fields[i], param);
      if (grad) state.expect_apart(*grad);
      for (size_t other = 2; other < i; ++other) {
        state.expect_apart(states_[states_.size() - (i - other)]);
      }
      *places[i - 2] = state.data<void>();
      states_.push_back(std::move(state));
    }
    return update;
  }

  std::vector<Array> all_params_, inputs_, states_;
  std::vector<const Array*> params_;         // [StepPlan::params]
  std::vector<std::optional<Array>> grads_;  // [StepPlan::params]
};

// An array over memory that the step took. The array keeps the memory alive.
py::object array_of(const Device& device, const std::shared_ptr<Block>& block, const void* data,
                    DType dtype, const std::vector<int64_t>& shape) {
  auto owner = std::make_unique<std::shared_ptr<Block>>(block);
  const py::capsule capsule(owner.get(),
                            [](void* held) { delete static_cast<std::shared_ptr<Block>*>(held); });
  owner.release();
  if (device.kind != DeviceKind::kCpu) {
    return wrap_device_array(device, data, shape, dtype, capsule);
  }
  const py::dtype numbers = dtype == DType::kFloat64   ? py::dtype::of<double>()
                            : dtype == DType::kFloat32 ? py::dtype::of<float>()
                                                       : py::dtype::of<int32_t>();
  return py::array(numbers, shape, data, capsule);
}

py::list gradients_of(const StepResult& result, const Device& device, DType dtype) {
  py::list gradients;
  for (const StepGradient& gradient : result.gradients) {
    if (gradient.whole != nullptr) {
      gradients.append(py::none());
      continue;
    }
    gradients.append(py::make_tuple(
        array_of(device, gradient.ids_block, gradient.ids, DType::kInt32, {gradient.count}),
        array_of(device, gradient.rows_block, gradient.rows, dtype,
                 {gradient.count, gradient.width})));
  }
  return gradients;
}

py::list updates_of(const StepResult& result, const StepPlan& plan) {
  py::list updates;
  const auto specs = outputs_of(*plan.forward);
  for (size_t i = 0; i < result.updates.size(); ++i) {
    const ValueSpec& spec = *specs[static_cast<size_t>(plan.updates[i])];
    const std::shared_ptr<Block>& block = result.updates[i];
    updates.append(array_of(device_of(plan), block, block->data(), spec.dtype, {spec.size}));
  }
  return updates;
}

std::shared_ptr<StepPlan> make_plan(const PyProgram& forward, const PyProgram& backward, int loss,
                                    const std::vector<std::vector<int>>& parts,
                                    std::vector<int> updates) {
  std::vector<GradientPart> found;
  for (const auto& part : parts) {
    CAVS_CHECK(part.size() == 3, ErrorKind::kValue,
               "[step] expected a parameter, an output and its ids as a part, got ", part.size(),
               " numbers; give three numbers");
    found.push_back({part[0], part[1], part[2]});
  }
  return std::make_shared<StepPlan>(forward.exe, backward.exe, loss, std::move(found),
                                    std::move(updates));
}

py::tuple run_step(const StepPlan& plan, const Schedule& schedule,
                   const py::array_t<int64_t, py::array::c_style>& graph_keys, uint64_t seed,
                   uint64_t step, bool training, const py::object& params,
                   const std::vector<int64_t>& versions, const py::object& inputs,
                   const py::object& grads, const py::object& groups, double scale,
                   double clip_norm, std::vector<int> clip_order,
                   const std::optional<std::vector<std::optional<std::vector<double>>>>& known) {
  Arrays arrays(plan, params, inputs, grads);
  StepInputs given;
  given.params = arrays.params();
  set_versions(versions, &given.params);
  given.inputs = arrays.inputs();
  given.scale = scale;
  given.clip_norm = clip_norm;
  given.clip_order = std::move(clip_order);
  given.wholes = arrays.wholes();
  given.check = known.has_value();
  CAVS_CHECK(!given.check || known->size() == plan.params.size(), ErrorKind::kShape,
             "[step] expected bounds or None for each of ", plan.params.size(), " parameters, got ",
             known->size(), "; pass one for each");
  for (size_t i = 0; given.check && i < known->size(); ++i) {
    const auto& bounds = (*known)[i];
    given.known.emplace_back();
    if (!bounds) continue;
    CAVS_CHECK(bounds->size() == 3, ErrorKind::kShape,
               "[step] expected the bounds of a parameter and two states, got ", bounds->size(),
               "; give three numbers");
    given.known[i] = {(*bounds)[0], (*bounds)[1], (*bounds)[2]};
  }
  for (const py::handle group : read_items(groups, "step", "groups")) {
    given.groups.push_back(arrays.read_group(group));
  }
  Run run(plan.forward, schedule,
          std::vector<int64_t>(graph_keys.data(), graph_keys.data() + graph_keys.size()),
          random_context(seed, step, training), true);
  StepResult result;
  {
    const Unlocked unlocked;
    result = run_training_step(plan, &run, given, num_threads());
  }
  py::object bounds = py::none();
  if (!result.refused) {
    py::list found;
    for (const UpdateBounds& b : result.bounds) {
      found.append(py::make_tuple(b.param, b.first, b.second));
    }
    bounds = std::move(found);
  }
  const DType dtype = plan.forward->program.dtype;
  py::list gradients = gradients_of(result, device_of(plan), dtype);
  py::list updates = updates_of(result, plan);
  if (!result.outcome) {
    return py::make_tuple(result.loss, result.norm, gradients, bounds, updates);
  }
  py::object loss =
      array_of(device_of(plan), result.later_loss, result.later_loss->data(), dtype, {});
  return py::make_tuple(loss, result.outcome, gradients, bounds, updates);
}

}  // namespace

void bind_step(py::module_& m) {
  py::class_<StepOutcome, std::shared_ptr<StepOutcome>>(
      m, "StepOutcome", "What became of a step for which the host did not wait.")
      .def_property_readonly("is_known", &StepOutcome::is_known,
                             "Whether the device is done with it by now.")
      .def_property_readonly("loss", &StepOutcome::loss, "The loss; waits for the device.")
      .def_property_readonly("norm", &StepOutcome::norm,
                             "The norm before clipping; waits for the device.");
  py::class_<StepPlan, std::shared_ptr<StepPlan>>(
      m, "StepPlan",
      "A training step of a forward program and the backward program from its output `loss`; "
      "`parts`: (parameter, output of backward, output with the ids of its rows or -1); "
      "`updates`: outputs of forward without rows, which run gives.")
      .def(py::init(&make_plan), py::arg("forward"), py::arg("backward"), py::arg("loss"),
           py::arg("parts"), py::arg("updates") = std::vector<int>())
      .def_readonly("params", &StepPlan::params,
                    "Numbers of the parameters that get a gradient, ascending.")
      .def(
          "run", &run_step, py::arg("schedule"), py::arg("graph_keys"), py::arg("seed"),
          py::arg("step"), py::arg("training"), py::arg("params"), py::arg("versions"),
          py::arg("inputs"), py::arg("grads"), py::arg("groups"), py::arg("scale"),
          py::arg("clip_norm"), py::arg("clip_order"), py::arg("known").none(true) = py::none(),
          "Returns (loss, norm, gradients, bounds, updates) and updates the `params` that `groups` "
          "name. Each group is (settings, [(number of the gradient, number of the update, "
          "states...)]). `grads`: an array for each whole gradient, None for a gradient that "
          "comes as (ids, rows). There are no gradients where the loss is not finite, and no "
          "update where the norm to clip by is not finite. `known` has for each parameter the "
          "bounds that bounds_after gave before, or None. With it there is no update either "
          "where an output or state is NaN, a gradient is not finite, or a parameter may not "
          "be finite after the update. `bounds` is then None; otherwise it holds the bounds of "
          "the parameters after the step. On a device for which the host does not wait, `loss` "
          "is an array there and a StepOutcome stands in place of the norm.");
}

}  // namespace cavs
