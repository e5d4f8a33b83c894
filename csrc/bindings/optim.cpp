// Optimiser steps on arrays, in place, by the arithmetic of the backend of their device.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/optim_arrays.h"
#include "bindings/read.h"
#include "cpu/step_arithmetic.h"
#include "runtime/backend.h"

namespace cavs {
namespace {

SgdSettings sgd_settings(double lr, double momentum, double weight_decay, bool nesterov) {
  expect_finite("lr", lr);
  expect_finite("momentum", momentum);
  expect_finite("weight_decay", weight_decay);
  return {lr, momentum, weight_decay, nesterov};
}

AdagradSettings adagrad_settings(double lr, double eps, double weight_decay) {
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  expect_finite("weight_decay", weight_decay);
  return {lr, eps, weight_decay};
}

AdamSettings adam_settings(double lr, double beta1, double beta2, double eps, double weight_decay,
                           bool decoupled) {
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  expect_finite("weight_decay", weight_decay);
  for (const double beta : {beta1, beta2}) {
    CAVS_CHECK(beta >= 0 && beta < 1, ErrorKind::kValue,
               "[optim] beta: expected a number from 0 to below 1, got ", beta,
               "; check the optimizer's settings");
  }
  return {lr, beta1, beta2, eps, weight_decay, decoupled, false};
}

RmspropSettings rmsprop_settings(double lr, double alpha, double eps, double weight_decay,
                                 double momentum, bool centered) {
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  expect_finite("weight_decay", weight_decay);
  expect_finite("momentum", momentum);
  CAVS_CHECK(alpha >= 0 && alpha < 1, ErrorKind::kValue,
             "[optim] alpha: expected a number from 0 to below 1, got ", alpha,
             "; check the optimizer's settings");
  return {lr, alpha, eps, weight_decay, momentum, centered};
}

// Arrays of the device of this name.
void update(const std::string& name, const OptimizerSettings& settings, const py::sequence& params,
            const py::sequence& grads, const std::vector<py::sequence>& states,
            const std::vector<int64_t>& steps) {
  const Device device = device_named(name);
  Dense dense(params, grads, device);
  expect_states(settings, states.size());
  for (const py::sequence& state : states) dense.add_state(state);
  if (std::holds_alternative<AdamSettings>(settings)) dense.add_steps(steps);
  const Backend& backend = backend_of(device);
  dense.dispatch([&](const auto& updates) {
    using T = std::decay_t<decltype(*updates[0].param)>;
    backend.step_arithmetic(T{}).update(settings, updates);
  });
}

template <class T>
T* state_at(const std::vector<Array>& states, size_t i) {
  return i < states.size() ? states[i].data<T>() : nullptr;
}

void update_rows(const std::string& name, const OptimizerSettings& settings,
                 const py::object& param, const py::object& ids, const py::object& rows,
                 const std::vector<py::object>& values, int64_t step) {
  const Sparse sparse(param, ids, rows, device_named(name));
  expect_states(settings, values.size());
  expect_step(step);
  std::vector<Array> states;
  for (const py::object& value : values) {
    Array state = state_like(value, sparse.param);
    state.expect_apart(sparse.rows);
    for (const Array& other : states) state.expect_apart(other);
    states.push_back(std::move(state));
  }
  const Backend& backend = backend_of(sparse.param.device());
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    const auto& arithmetic = backend.step_arithmetic(zero);
    const int64_t num_rows = sparse.param.dim(0);
    CAVS_CHECK(
        !sparse.on_device() || arithmetic.are_within(sparse.numbers(), sparse.count(), num_rows),
        ErrorKind::kValue, "[optim] expected row ids from 0 to ", num_rows - 1,
        ", got others; check the ids of the gradient");
    const DenseUpdate<T> all = {sparse.param.data<T>(),
                                sparse.rows.data<T>(),
                                state_at<T>(states, 0),
                                state_at<T>(states, 1),
                                0,
                                step,
                                state_at<T>(states, 2)};
    arithmetic.update_rows(settings, all, sparse.numbers(), sparse.count(), sparse.width());
  });
}

// Our own: the caller's may change in other threads.
std::vector<int32_t> ids_of_rows(const py::object& value, const Array& param) {
  CAVS_CHECK(param.ndim() > 0, ErrorKind::kShape,
             "[optim] param: expected rows for the ids, got one of no dimensions; give a matrix");
  const auto given =
      read_as<py::array_t<int32_t, py::array::c_style>>(value, "optim", "int32 row ids");
  std::vector<int32_t> ids(given.data(), given.data() + given.size());
  for (const int32_t id : ids) {
    CAVS_CHECK(id >= -1 && id < param.dim(0), ErrorKind::kValue,
               "[optim] expected row ids from -1 to ", param.dim(0) - 1, ", got ", id,
               "; check the ids of the gradient");
  }
  return ids;
}

using Magnitudes = std::vector<double>;  // of a parameter and two states

std::optional<Magnitudes> bounds(const std::string& name, const OptimizerSettings& settings,
                                 int64_t step, double grad, const py::object& param_value,
                                 const py::sequence& state_values, const py::object& ids_value,
                                 const std::optional<Magnitudes>& known) {
  const Device device = device_named(name);
  expect_step(step);
  const Array param = float_array("param", param_value, false, device);
  std::vector<Array> states;
  expect_states(settings, py::len(state_values));
  for (const py::handle value : state_values) {
    states.push_back(optim_array("state", value, false, device));
    states.back().expect_like(param);
  }
  const bool some_rows = !ids_value.is_none(), on_host = device == Device{};
  std::vector<int32_t> own;
  std::optional<Array> there;
  if (some_rows && on_host) own = ids_of_rows(ids_value, param);
  if (some_rows && !on_host) there = optim_array("ids", ids_value, false, device);
  CAVS_CHECK(!known || known->size() == 3, ErrorKind::kShape,
             "[optim] known: expected the magnitudes of a parameter and two states, got ",
             known ? known->size() : 0, "; give three numbers");
  const Backend& backend = backend_of(device);
  return dispatch(param, [&](auto zero) -> std::optional<Magnitudes> {
    using T = decltype(zero);
    const DenseUpdate<T> update = {param.data<T>(),        nullptr,      state_at<T>(states, 0),
                                   state_at<T>(states, 1), param.size(), step};
    std::optional<UpdateBounds> before;
    if (known) before = UpdateBounds{(*known)[0], (*known)[1], (*known)[2]};
    const int32_t* const ids = there ? there->data<int32_t>() : some_rows ? own.data() : nullptr;
    const int64_t count = there ? there->dim(0) : static_cast<int64_t>(own.size());
    const int64_t rows = param.ndim() == 0 ? 0 : param.dim(0);
    const int64_t width = !some_rows ? 1 : rows == 0 ? 0 : param.size() / rows;
    const auto after = backend.step_arithmetic(zero).bounds_after_update(settings, update, grad,
                                                                         before, ids, count, width);
    if (!after) return std::nullopt;
    return Magnitudes{after->param, after->first, after->second};
  });
}

double sum(const py::object& value) {
  const Array x = float_array("x", value, false);
  return dispatch(x, [&](auto zero) -> double {
    using T = decltype(zero);
    return cpu_step_arithmetic<T>().sum({x.data<T>(), x.size()});
  });
}

double sum_squares(const std::string& name, const py::object& value) {
  const Device device = device_named(name);
  const Array x = float_array("x", value, false, device);
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return backend_of(device).step_arithmetic(zero).sum_squares({x.data<T>(), x.size()});
  });
}

std::vector<double> magnitudes(const py::sequence& values) {
  std::vector<Array> arrays;
  for (const py::handle value : values) {
    arrays.push_back(float_array("x", value, false));
  }
  const Unlocked unlocked;
  std::vector<Elements<float>> single;
  std::vector<Elements<double>> twice;
  for (const Array& x : arrays) {
    if (x.is_double()) {
      twice.push_back({x.data<double>(), x.size()});
    } else {
      single.push_back({x.data<float>(), x.size()});
    }
  }
  const std::vector<float> of_single = cpu_step_arithmetic<float>().max_abs_each(single);
  const std::vector<double> of_twice = cpu_step_arithmetic<double>().max_abs_each(twice);
  std::vector<double> found;
  size_t i = 0, j = 0;
  for (const Array& x : arrays) found.push_back(x.is_double() ? of_twice[j++] : of_single[i++]);
  return found;
}

void scale(const std::string& name, const py::object& value, double factor) {
  const Device device = device_named(name);
  const Array x = float_array("x", value, true, device);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    backend_of(device).step_arithmetic(zero).scale(x.data<T>(), factor, x.size());
  });
}

void add(const py::object& value, const py::object& other, double factor) {
  const Array x = float_array("x", value, true);
  const Array y = optim_array("y", other, false);
  y.expect_like(x);
  y.expect_apart(x);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    add_scaled<T>(x.data<T>(), y.data<T>(), factor, x.size());
  });
}

// The same function of arrays of the host.
template <class Result, class... Arguments>
auto on_host(Result (*function)(const std::string&, Arguments...)) {
  return [function](Arguments... arguments) { return function("cpu", arguments...); };
}

// Functions of an optimiser's settings, which are the same on a device but for its name before
// them.
void bind_on_devices(py::module_& m) {
  using py::arg;
  m.def("update_on", &update, arg("device"), arg("settings"), arg("params"), arg("grads"),
        arg("states"), arg("steps"), "As update, on arrays of the device of this name.");
  m.def("update_rows_on", &update_rows, arg("device"), arg("settings"), arg("param"), arg("ids"),
        arg("rows"), arg("states"), arg("step"), "As update_rows; ids without -1.");
  m.def("bounds_after_on", &bounds, arg("device"), arg("settings"), arg("step"), arg("grad"),
        arg("param"), arg("states"), arg("ids").none(true), arg("known").none(true),
        "As bounds_after.");
  m.def("sum_squares_on", &sum_squares, arg("device"), arg("x"), "As sum_squares.");
  m.def("scale_on_", &scale, arg("device"), arg("x"), arg("factor"), "As scale_.");
}

}  // namespace

void bind_optim(py::module_& m) {
  using py::arg;
  bind_on_devices(m);
  m.def("update", on_host(&update), arg("settings"), arg("params"), arg("grads"),
        arg("states") = std::vector<py::sequence>{}, arg("steps") = std::vector<int64_t>{},
        "The settings' step, of the formula of torch.optim, over arrays of each list, in place. "
        "`states` has a list for each array that is kept for a param: momentum; sums (Adagrad); "
        "means and means of squares (Adam); means of squares, momentum and, where centered, means "
        "(RMSprop). steps[i] numbers the updates of params[i] from 1, for Adam.");
  m.def("update_rows", on_host(&update_rows), arg("settings"), arg("param"), arg("ids"),
        arg("rows"), arg("states") = std::vector<py::object>{}, arg("step") = 1,
        "The step for the rows `ids` (int32, distinct, -1 passed over) of a (num, d) param; other "
        "rows neither decay nor go on by momentum. For Adam that of torch.optim.SparseAdam.");
  py::class_<SgdSettings>(m, "SgdSettings")
      .def(py::init(&sgd_settings), arg("lr"), arg("momentum") = 0.0, arg("weight_decay") = 0.0,
           arg("nesterov") = false);
  py::class_<AdagradSettings>(m, "AdagradSettings")
      .def(py::init(&adagrad_settings), arg("lr"), arg("eps") = 1e-10, arg("weight_decay") = 0.0);
  py::class_<AdamSettings>(m, "AdamSettings")
      .def(py::init(&adam_settings), arg("lr"), arg("beta1") = 0.9, arg("beta2") = 0.999,
           arg("eps") = 1e-8, arg("weight_decay") = 0.0, arg("decoupled") = false);
  py::class_<RmspropSettings>(m, "RmspropSettings")
      .def(py::init(&rmsprop_settings), arg("lr"), arg("alpha") = 0.99, arg("eps") = 1e-8,
           arg("weight_decay") = 0.0, arg("momentum") = 0.0, arg("centered") = false);
  m.def(
      "sum", &sum, arg("x"),
      "Sum of all elements, accumulated in float64 and rounded to the array's dtype; the same for "
      "any number of threads.");
  m.def("sum_squares", on_host(&sum_squares), arg("x"),
        "Sum of squares, accumulated in float64; the same for any number of threads.");
  m.def("bounds_after", on_host(&bounds), arg("settings"), arg("step"), arg("grad"), arg("param"),
        arg("states"), arg("ids").none(true), arg("known").none(true),
        "Upper bounds for the magnitudes of a parameter and its states (as many as the step "
        "changes) after update number `step` by a gradient of at most `grad`. They come from "
        "the bounds that are `known` before the update, else from the arrays, of which `ids` "
        "chooses rows. None where they do not show that the parameter stays finite.");
  m.def("max_abs", &magnitudes, arg("arrays"),
        "The greatest magnitude of each array, infinite or NaN where an element is; 0 for an "
        "empty array.");
  m.def("scale_", on_host(&scale), arg("x"), arg("factor"), "x *= factor, in place.");
  m.def("add_", &add, arg("x"), arg("y"), arg("factor") = 1.0, "x += factor * y, in place.");
}

}  // namespace cavs
