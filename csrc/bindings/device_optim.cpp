// Optimiser steps on arrays of any device, in place: what optim.cpp does on the host, by the
// arithmetic of the device's backend.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/optim_arrays.h"
#include "runtime/backend.h"

namespace cavs {
namespace {

using Magnitudes = std::vector<double>;  // of a parameter and two states

void expect_states(const OptimizerSettings& settings, size_t given) {
  CAVS_CHECK(given == num_states(settings), ErrorKind::kShape, "[optim] states: expected ",
             num_states(settings), " for a param, got ", given, "; give what the settings need");
}

void update_on(const std::string& name, const OptimizerSettings& settings,
               const py::sequence& params, const py::sequence& grads,
               const std::vector<py::sequence>& states, const std::vector<int64_t>& steps) {
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

void update_rows_on(const std::string& name, const OptimizerSettings& settings,
                    const py::object& param, const py::object& ids, const py::object& rows,
                    const std::vector<py::object>& values, int64_t step) {
  const Device device = device_named(name);
  const Sparse sparse(param, ids, rows, device);
  expect_states(settings, values.size());
  expect_step(step);
  std::vector<Array> states;
  for (const py::object& value : values) {
    Array state = state_like(value, sparse.param);
    state.expect_apart(sparse.rows);
    for (const Array& other : states) state.expect_apart(other);
    states.push_back(std::move(state));
  }
  const Backend& backend = backend_of(device);
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    const auto state = [&](size_t i) { return i < states.size() ? states[i].data<T>() : nullptr; };
    const auto& arithmetic = backend.step_arithmetic(zero);
    const auto* numbers = sparse.ids.data<const int32_t>();
    const int64_t count = sparse.ids.dim(0);
    CAVS_CHECK(arithmetic.are_within(numbers, count, sparse.param.dim(0)), ErrorKind::kValue,
               "[optim] expected row ids from 0 to ", sparse.param.dim(0) - 1,
               ", got others; check the ids of the gradient");
    const DenseUpdate<T> all = {
        sparse.param.data<T>(), sparse.rows.data<T>(), state(0), state(1), 0, step, state(2)};
    arithmetic.update_rows(settings, all, numbers, count, sparse.width());
  });
}

std::optional<Magnitudes> bounds_on(const std::string& name, const OptimizerSettings& settings,
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
  std::optional<Array> ids;
  if (!ids_value.is_none()) ids = optim_array("ids", ids_value, false, device);
  CAVS_CHECK(!known || known->size() == 3, ErrorKind::kShape,
             "[optim] known: expected the magnitudes of a parameter and two states, got ",
             known ? known->size() : 0, "; give three numbers");
  const Backend& backend = backend_of(device);
  return dispatch(param, [&](auto zero) -> std::optional<Magnitudes> {
    using T = decltype(zero);
    const auto state = [&](size_t i) { return i < states.size() ? states[i].data<T>() : nullptr; };
    const DenseUpdate<T> update = {param.data<T>(), nullptr, state(0), state(1),
                                   param.size(),    step,    nullptr};
    std::optional<UpdateBounds> before;
    if (known) before = UpdateBounds{(*known)[0], (*known)[1], (*known)[2]};
    const int64_t width = param.ndim() == 0 || param.dim(0) == 0 ? 0 : param.size() / param.dim(0);
    const auto after = backend.step_arithmetic(zero).bounds_after_update(
        settings, update, grad, before, ids ? ids->data<const int32_t>() : nullptr,
        ids ? ids->dim(0) : 0, ids ? width : 1);
    if (!after) return std::nullopt;
    return Magnitudes{after->param, after->first, after->second};
  });
}

double sum_squares_on(const std::string& name, const py::object& value) {
  const Device device = device_named(name);
  const Array x = float_array("x", value, false, device);
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return backend_of(device).step_arithmetic(zero).sum_squares({x.data<T>(), x.size()});
  });
}

void scale_on(const std::string& name, const py::object& value, double factor) {
  const Device device = device_named(name);
  const Array x = float_array("x", value, true, device);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    backend_of(device).step_arithmetic(zero).scale(x.data<T>(), factor, x.size());
  });
}

}  // namespace

void bind_device_optim(py::module_& m) {
  using py::arg;
  m.def("update_on", &update_on, arg("device"), arg("settings"), arg("params"), arg("grads"),
        arg("states"), arg("steps"), "As update, on arrays of the device of this name.");
  m.def("update_rows_on", &update_rows_on, arg("device"), arg("settings"), arg("param"), arg("ids"),
        arg("rows"), arg("states"), arg("step"), "As update_rows; ids without -1.");
  m.def("bounds_after_on", &bounds_on, arg("device"), arg("settings"), arg("step"), arg("grad"),
        arg("param"), arg("states"), arg("ids").none(true), arg("known").none(true),
        "As bounds_after.");
  m.def("sum_squares_on", &sum_squares_on, arg("device"), arg("x"), "As sum_squares.");
  m.def("scale_on_", &scale_on, arg("device"), arg("x"), arg("factor"), "As scale_.");
}

}  // namespace cavs
