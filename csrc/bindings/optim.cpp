// Optimiser steps on arrays, in place.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/optim_arrays.h"
#include "bindings/read.h"
#include "cpu/kernels/optimizers.h"
#include "cpu/kernels/update_bounds.h"

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

void expect_states(const OptimizerSettings& settings, size_t given) {
  CAVS_CHECK(given == num_states(settings), ErrorKind::kShape, "[optim] states: expected ",
             num_states(settings), " for a param, got ", given, "; give what the settings need");
}

void update(const OptimizerSettings& settings, const py::sequence& params,
            const py::sequence& grads, const std::vector<py::sequence>& states,
            const std::vector<int64_t>& steps) {
  Dense dense(params, grads);
  expect_states(settings, states.size());
  for (const py::sequence& state : states) dense.add_state(state);
  if (std::holds_alternative<AdamSettings>(settings)) dense.add_steps(steps);
  dense.dispatch([&](const auto& updates) { optimizer_step(settings, updates); });
}

void update_rows(const OptimizerSettings& settings, const py::object& param, const py::object& ids,
                 const py::object& rows, const std::vector<py::object>& values, int64_t step) {
  const Sparse sparse(param, ids, rows);
  expect_states(settings, values.size());
  expect_step(step);
  std::vector<Array> states;
  for (const py::object& value : values) {
    Array state = state_like(value, sparse.param);
    state.expect_apart(sparse.rows);
    for (const Array& other : states) state.expect_apart(other);
    states.push_back(std::move(state));
  }
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    const auto state = [&](size_t i) { return i < states.size() ? states[i].data<T>() : nullptr; };
    const DenseUpdate<T> all = {
        sparse.param.data<T>(), sparse.rows.data<T>(), state(0), state(1), 0, step, state(2)};
    optimizer_step_rows<T>(settings, all, sparse.own.data(), sparse.count(), sparse.width());
  });
}

using Magnitudes = std::vector<double>;  // of a parameter and two states

int64_t row_size(const Array& param) { return param.dim(0) == 0 ? 0 : param.size() / param.dim(0); }

std::optional<Magnitudes> bounds(const OptimizerSettings& settings, int64_t step, double grad,
                                 const py::object& param_value, const py::sequence& state_values,
                                 const py::object& ids_value,
                                 const std::optional<Magnitudes>& known) {
  expect_step(step);
  const Array param = float_array("param", param_value, false);
  std::vector<Array> states;
  expect_states(settings, py::len(state_values));
  for (const py::handle value : state_values) {
    states.push_back(optim_array("state", value, false));
    states.back().expect_like(param);
  }
  std::vector<int32_t> ids;  // our own: the caller's may change in other threads
  if (!ids_value.is_none()) {
    CAVS_CHECK(param.ndim() > 0, ErrorKind::kShape,
               "[optim] param: expected rows for the ids, got one of no dimensions; give a matrix");
    const auto given =
        read_as<py::array_t<int32_t, py::array::c_style>>(ids_value, "optim", "int32 row ids");
    ids.assign(given.data(), given.data() + given.size());
    for (const int32_t id : ids) {
      CAVS_CHECK(id >= -1 && id < param.dim(0), ErrorKind::kValue,
                 "[optim] expected row ids from -1 to ", param.dim(0) - 1, ", got ", id,
                 "; check the ids of the gradient");
    }
  }
  CAVS_CHECK(!known || known->size() == 3, ErrorKind::kShape,
             "[optim] known: expected the magnitudes of a parameter and two states, got ",
             known ? known->size() : 0, "; give three numbers");
  return dispatch(param, [&](auto zero) -> std::optional<Magnitudes> {
    using T = decltype(zero);
    const auto state = [&](size_t i) { return i < states.size() ? states[i].data<T>() : nullptr; };
    const DenseUpdate<T> update = {param.data<T>(), nullptr, state(0), state(1),
                                   param.size(),    step,    nullptr};
    const auto count = static_cast<int64_t>(ids.size());
    const int32_t* rows = ids_value.is_none() ? nullptr : ids.data();
    std::optional<UpdateBounds> before;
    if (known) before = UpdateBounds{(*known)[0], (*known)[1], (*known)[2]};
    const auto after = bounds_after_update<T>(settings, update, grad, before, rows, count,
                                              rows == nullptr ? 1 : row_size(param));
    if (!after) return std::nullopt;
    return Magnitudes{after->param, after->first, after->second};
  });
}

double sum(const py::object& value) {
  const Array x = float_array("x", value, false);
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return static_cast<double>(static_cast<T>(sum_all<T>(x.data<T>(), x.size())));
  });
}

double sum_of_squares(const py::object& value) {
  const Array x = float_array("x", value, false);
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return sum_squares<T>(x.data<T>(), x.size());
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
  const std::vector<float> of_single = max_abs_each(single);
  const std::vector<double> of_twice = max_abs_each(twice);
  std::vector<double> found;
  size_t i = 0, j = 0;
  for (const Array& x : arrays) found.push_back(x.is_double() ? of_twice[j++] : of_single[i++]);
  return found;
}

void scale(const py::object& value, double factor) {
  const Array x = float_array("x", value, true);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    scale_in_place<T>(x.data<T>(), factor, x.size());
  });
}

void add(const py::object& value, const py::object& other, double factor) {
  const Array x = float_array("x", value, true);
  const Array y = optim_array("y", other, false);
  y.expect_like(x);
  y.expect_apart(x);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    add_in_place<T>(x.data<T>(), y.data<T>(), factor, x.size());
  });
}

}  // namespace

void bind_optim(py::module_& m) {
  using py::arg;
  m.def("update", &update, arg("settings"), arg("params"), arg("grads"),
        arg("states") = std::vector<py::sequence>{}, arg("steps") = std::vector<int64_t>{},
        "The settings' step, of the formula of torch.optim, over arrays of each list, in place. "
        "`states` has a list for each array that is kept for a param: momentum; sums (Adagrad); "
        "means and means of squares (Adam); means of squares, momentum and, where centered, means "
        "(RMSprop). steps[i] numbers the updates of params[i] from 1, for Adam.");
  m.def("update_rows", &update_rows, arg("settings"), arg("param"), arg("ids"), arg("rows"),
        arg("states") = std::vector<py::object>{}, arg("step") = 1,
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
  m.def("sum_squares", &sum_of_squares, arg("x"),
        "Sum of squares, accumulated in float64; the same for any number of threads.");
  m.def("bounds_after", &bounds, arg("settings"), arg("step"), arg("grad"), arg("param"),
        arg("states"), arg("ids").none(true), arg("known").none(true),
        "Upper bounds for the magnitudes of a parameter and its states (as many as the step "
        "changes) after update number `step` by a gradient of at most `grad`. They come from "
        "the bounds that are `known` before the update, else from the arrays, of which `ids` "
        "chooses rows. None where they do not show that the parameter stays finite.");
  m.def("max_abs", &magnitudes, arg("arrays"),
        "The greatest magnitude of each array, infinite or NaN where an element is; 0 for an "
        "empty array.");
  m.def("scale_", &scale, arg("x"), arg("factor"), "x *= factor, in place.");
  m.def("add_", &add, arg("x"), arg("y"), arg("factor") = 1.0, "x += factor * y, in place.");
}

}  // namespace cavs
