// Arrays of optimiser steps, checked before anything is written.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "bindings/array.h"
#include "bindings/own_ids.h"
#include "bindings/unlocked.h"
#include "runtime/step_arithmetic.h"

namespace cavs {

namespace py = pybind11;

// An array of an optimiser's call.
inline Array optim_array(const char* name, py::handle value, bool written, Device device = {}) {
  return {value, {"optim", ErrorKind::kValue, name}, written, device};
}

inline Array float_array(const char* name, py::handle value, bool written, Device device = {}) {
  Array array = optim_array(name, value, written, device);
  array.expect_float();
  return array;
}

inline void expect_finite(const char* name, double value) {
  CAVS_CHECK(std::isfinite(value), ErrorKind::kValue, "[optim] ", name,
             ": expected a finite number, got ", value, "; check the optimizer's settings");
}

inline void expect_step(int64_t step) {
  CAVS_CHECK(step >= 1, ErrorKind::kValue, "[optim] step: expected 1 or more, got ", step,
             "; count updates from 1");
}

// Number of arrays that an optimiser of these settings keeps for each parameter.
inline size_t num_states(const OptimizerSettings& settings) {
  if (const auto* sgd = std::get_if<SgdSettings>(&settings)) return sgd->momentum != 0 ? 1 : 0;
  if (const auto* rmsprop = std::get_if<RmspropSettings>(&settings)) {
    return 1 + (rmsprop->momentum != 0 ? 1 : 0) + (rmsprop->centered ? 1 : 0);
  }
  return std::holds_alternative<AdagradSettings>(settings) ? 1 : 2;
}

// Calls body(T{}) with the dtype of `array`, the GIL released.
template <class Body>
auto dispatch(const Array& array, const Body& body) {
  const Unlocked unlocked;
  const DenormalScope scope(array.dtype());
  return array.is_double() ? body(double{}) : body(float{});
}

inline void expect_states(const OptimizerSettings& settings, size_t given) {
  CAVS_CHECK(given == num_states(settings), ErrorKind::kShape, "[optim] states: expected ",
             num_states(settings), " for a param, got ", given, "; give what the settings need");
}

inline Array state_like(py::handle value, const Array& param) {
  Array state = optim_array("state", value, true, param.device());
  state.expect_like(param);
  state.expect_apart(param);
  return state;
}

// The arrays of several parameters, all on one device. The caller's lists may change while the
// interpreter runs other threads, so they are held here.
class Dense {
 public:
  Dense(const py::sequence& params, const py::sequence& grads, Device device = {}) {
    const size_t count = py::len(params);
    expect_count("grad", grads, count);
    for (size_t i = 0; i < count; ++i) {
      params_.push_back(float_array("param", params[i], true, device));
      grads_.push_back(optim_array("grad", grads[i], false, device));
      grads_[i].expect_like(params_[i]);
      grads_[i].expect_apart(params_[i]);
    }
  }

  // Adds an array that the optimiser keeps for each parameter. It must share no memory with the
  // arrays before it.
  void add_state(const py::sequence& values) {
    expect_count("state", values, params_.size());
    std::vector<Array> states;
    for (size_t i = 0; i < params_.size(); ++i) {
      states.push_back(state_like(values[i], params_[i]));
      states[i].expect_apart(grads_[i]);
      for (const auto& others : states_) states[i].expect_apart(others[i]);
    }
    states_.push_back(std::move(states));
  }

  void add_steps(const std::vector<int64_t>& steps) {
    CAVS_CHECK(steps.size() == params_.size(), ErrorKind::kShape, "[optim] steps: expected ",
               params_.size(), " of them, one a param, got ", steps.size(),
               "; pass a step for each param");
    for (const int64_t step : steps) expect_step(step);
    steps_ = steps;
  }

  // Calls body(updates) for the parameters of float32 and for the parameters of float64, without
  // the interpreter's lock.
  template <class Body>
  void dispatch(const Body& body) const {
    const auto single = updates<float>(false);
    const auto twice = updates<double>(true);
    const Unlocked unlocked;
    if (!single.empty()) {
      const DenormalScope scope(DType::kFloat32);
      body(single);
    }
    if (!twice.empty()) {
      const DenormalScope scope(DType::kFloat64);
      body(twice);
    }
  }

 private:
  static void expect_count(const char* name, const py::sequence& values, size_t count) {
    CAVS_CHECK(py::len(values) == count, ErrorKind::kShape, "[optim] ", name, ": expected ", count,
               " arrays, one a param, got ", py::len(values), "; pass an array for each param");
  }

  template <class T>
  std::vector<DenseUpdate<T>> updates(bool is_double) const {
    std::vector<DenseUpdate<T>> found;
    for (size_t i = 0; i < params_.size(); ++i) {
      if (params_[i].is_double() != is_double) continue;
      found.push_back({params_[i].data<T>(), grads_[i].data<T>(), state<T>(0, i), state<T>(1, i),
                       params_[i].size(), steps_.empty() ? 1 : steps_[i], state<T>(2, i)});
    }
    return found;
  }

  template <class T>
  T* state(size_t number, size_t i) const {
    return number < states_.size() ? states_[number][i].data<T>() : nullptr;
  }

  std::vector<Array> params_, grads_;
  std::vector<std::vector<Array>> states_;
  std::vector<int64_t> steps_;
};

// Throws Error(kValue) for ids out of range, and for one that comes twice; -1 is passed over.
inline void check_row_ids(const std::vector<int32_t>& ids, int64_t num_rows) {
  std::vector<bool> seen(static_cast<size_t>(num_rows));
  for (size_t i = 0; i < ids.size(); ++i) {
    CAVS_CHECK(ids[i] >= -1 && ids[i] < num_rows, ErrorKind::kValue,
               "[optim] expected row ids from -1 to ", num_rows - 1, ", got ", ids[i],
               " at position ", i, "; check the ids of the gradient");
    if (ids[i] < 0) continue;
    const auto id = static_cast<size_t>(ids[i]);
    CAVS_CHECK(!seen[id], ErrorKind::kValue, "[optim] expected distinct row ids, got ", ids[i],
               " again at position ", i, "; sum the rows of equal ids first");
    seen[id] = true;
  }
}

struct Sparse {
  Sparse(const py::object& param_value, const py::object& ids_value, const py::object& rows_value,
         Device device = {})
      : param(float_array("param", param_value, true, device)),
        ids(optim_array("ids", ids_value, false, device)),
        rows(optim_array("rows", rows_value, false, device)) {
    CAVS_CHECK(ids.is_int() && ids.ndim() == 1, ErrorKind::kValue,
               "[optim] ids: expected an int32 array of 1 dimension, got ", dtype_name(ids.dtype()),
               " with ", ids.ndim(), "; convert it");
    CAVS_CHECK(rows.is_double() == param.is_double() && !rows.is_int(), ErrorKind::kValue,
               "[optim] rows: expected dtype ", dtype_name(param.dtype()), " like param, got ",
               dtype_name(rows.dtype()), "; convert it");
    const bool fits = param.ndim() == 2 && rows.ndim() == 2 && rows.dim(1) == param.dim(1) &&
                      rows.dim(0) == ids.dim(0);
    CAVS_CHECK(fits, ErrorKind::kShape,
               "[optim] rows: expected (number of ids, columns of the 2-dimensional param), got ",
               rows.size(), " elements for ", ids.size(), " ids and a param of ", param.size(),
               " elements; check the shapes");
    rows.expect_apart(param);
    if (on_device()) return;  // its ids are checked where they stand
    own = own_ids(ids.data<int32_t>(), count());
    check_row_ids(own, param.dim(0));
  }
  bool on_device() const { return param.device() != Device{}; }
  const int32_t* numbers() const { return on_device() ? ids.data<int32_t>() : own.data(); }
  int64_t count() const { return ids.dim(0); }
  int64_t width() const { return param.dim(1); }
  Array param, ids, rows;
  std::vector<int32_t> own;  // copy of the ids, of arrays of the host
};

}  // namespace cavs
