// NumPy arrays of optimiser steps, checked before anything is written.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "bindings/dtype.h"
#include "bindings/own_ids.h"
#include "bindings/unlocked.h"
#include "cpu/kernels/optimizers.h"

namespace cavs {

namespace py = pybind11;

// One array of a call, checked: C-contiguous, aligned, of the call's dtype, writable where it
// changes.
class Checked {
 public:
  Checked(const char* name, const py::handle& value, bool writes) : name_(name) {
    CAVS_CHECK(py::isinstance<py::array>(value), ErrorKind::kValue, "[optim] ", name,
               ": expected a NumPy array, got ",
               std::string(py::str(py::type::handle_of(value).attr("__name__"))), "; convert it");
    array_ = py::reinterpret_borrow<py::array>(value);
    const int flags = array_.flags();
    CAVS_CHECK(
        (flags & py::array::c_style) != 0 && (flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0,
        ErrorKind::kValue, "[optim] ", name,
        ": expected a C-contiguous array, got one with gaps or another order; copy it");
    CAVS_CHECK(!writes || array_.writeable(), ErrorKind::kValue, "[optim] ", name,
               ": expected a writable array, got a read-only one; copy it");
    const py::dtype dtype = array_.dtype();
    const std::optional<DType> known = dtype_of(dtype);
    CAVS_CHECK(known.has_value() && dtype.byteorder() != kForeignOrder, ErrorKind::kValue,
               "[optim] ", name, ": expected float32, float64 or int32, got ", dtype_name(),
               "; convert it");
    is_double_ = known == DType::kFloat64;
    is_int_ = known == DType::kInt32;
  }

  void expect_like(const Checked& other) const {
    CAVS_CHECK(is_double_ == other.is_double_ && is_int_ == other.is_int_, ErrorKind::kValue,
               "[optim] ", name_, ": expected dtype ", other.dtype_name(), " like ", other.name_,
               ", got ", dtype_name(), "; convert it");
    CAVS_CHECK(array_.size() == other.array_.size(), ErrorKind::kShape, "[optim] ", name_,
               ": expected ", other.array_.size(), " elements like ", other.name_, ", got ",
               array_.size(), "; give both one shape");
  }

  // Two arrays of one call that share memory would be updated in an order nobody asked for.
  void expect_apart(const Checked& other) const {
    const char* begin = static_cast<const char*>(array_.data());
    const char* other_begin = static_cast<const char*>(other.array_.data());
    CAVS_CHECK(array_.nbytes() == 0 || other.array_.nbytes() == 0 ||
                   begin + array_.nbytes() <= other_begin ||
                   other_begin + other.array_.nbytes() <= begin,
               ErrorKind::kValue, "[optim] ", name_, ": expected memory of its own, got memory of ",
               other.name_, "; copy it");
  }

  bool is_double() const { return is_double_; }
  bool is_int() const { return is_int_; }
  int64_t size() const { return array_.size(); }
  int64_t ndim() const { return array_.ndim(); }
  int64_t dim(int i) const { return array_.shape(i); }
  std::string dtype_name() const { return py::str(array_.dtype()); }
  template <class T>
  T* data() const {
    return static_cast<T*>(const_cast<void*>(array_.data()));
  }

 private:
  const char* name_;
  py::array array_;
  bool is_double_ = false;
  bool is_int_ = false;
};

inline void expect_float(const Checked& array, const char* name) {
  CAVS_CHECK(!array.is_int(), ErrorKind::kValue, "[optim] ", name,
             ": expected float32 or float64, got int32; convert it");
}

inline void expect_finite(const char* name, double value) {
  CAVS_CHECK(std::isfinite(value), ErrorKind::kValue, "[optim] ", name,
             ": expected a finite number, got ", value, "; check the optimizer's settings");
}

inline void expect_step(int64_t step) {
  CAVS_CHECK(step >= 1, ErrorKind::kValue, "[optim] step: expected 1 or more, got ", step,
             "; count updates from 1");
}

// Arrays that an optimiser of these settings keeps for each parameter.
inline size_t num_states(const OptimizerSettings& settings) {
  if (const auto* sgd = std::get_if<SgdSettings>(&settings)) return sgd->momentum != 0 ? 1 : 0;
  return std::holds_alternative<AdagradSettings>(settings) ? 1 : 2;
}

// Calls body(T{}) with the dtype of `array`, the GIL released.
template <class Body>
auto dispatch(const Checked& array, const Body& body) {
  const Unlocked unlocked;
  const DenormalScope scope(array.is_double() ? DType::kFloat64 : DType::kFloat32);
  return array.is_double() ? body(double{}) : body(float{});
}

inline Checked state_like(const char* name, const py::object& value, const Checked& param) {
  Checked state(name, value, true);
  state.expect_like(param);
  state.expect_apart(param);
  return state;
}

// The arrays of several parameters. The caller's lists may change while the interpreter runs other
// threads, so they are held here.
class Dense {
 public:
  Dense(const py::sequence& params, const py::sequence& grads) {
    const size_t count = py::len(params);
    expect_count("grad", grads, count);
    for (size_t i = 0; i < count; ++i) {
      params_.emplace_back("param", params[i], true);
      expect_float(params_[i], "param");
      grads_.emplace_back("grad", grads[i], false);
      grads_[i].expect_like(params_[i]);
      grads_[i].expect_apart(params_[i]);
    }
  }

  // What the optimiser keeps; comes before others that stand apart from it.
  void add_state(const char* name, const py::sequence& values) {
    expect_count(name, values, params_.size());
    std::vector<Checked> states;
    for (size_t i = 0; i < params_.size(); ++i) {
      states.push_back(state_like(name, values[i], params_[i]));
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

  // Calls body(updates) for the parameters of float32 and for those of float64, without the
  // interpreter's lock.
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
                       params_[i].size(), steps_.empty() ? 1 : steps_[i]});
    }
    return found;
  }

  template <class T>
  T* state(size_t number, size_t i) const {
    return number < states_.size() ? states_[number][i].data<T>() : nullptr;
  }

  std::vector<Checked> params_, grads_;
  std::vector<std::vector<Checked>> states_;
  std::vector<int64_t> steps_;
};

struct Sparse {
  Sparse(const py::object& param_value, const py::object& ids_value, const py::object& rows_value)
      : param("param", param_value, true),
        ids("ids", ids_value, false),
        rows("rows", rows_value, false) {
    expect_float(param, "param");
    CAVS_CHECK(ids.is_int() && ids.ndim() == 1, ErrorKind::kValue,
               "[optim] ids: expected an int32 array of 1 dimension, got ", ids.dtype_name(),
               " with ", ids.ndim(), "; convert it");
    CAVS_CHECK(rows.is_double() == param.is_double() && !rows.is_int(), ErrorKind::kValue,
               "[optim] rows: expected dtype ", param.dtype_name(), " like param, got ",
               rows.dtype_name(), "; convert it");
    const bool fits = param.ndim() == 2 && rows.ndim() == 2 && rows.dim(1) == param.dim(1) &&
                      rows.dim(0) == ids.dim(0);
    CAVS_CHECK(fits, ErrorKind::kShape,
               "[optim] rows: expected (number of ids, columns of the 2-dimensional param), got ",
               rows.size(), " elements for ", ids.size(), " ids and a param of ", param.size(),
               " elements; check the shapes");
    rows.expect_apart(param);
    own = own_ids(ids.data<int32_t>(), ids.dim(0));
    check_row_ids(own.data(), count(), param.dim(0));
  }
  int64_t count() const { return static_cast<int64_t>(own.size()); }
  int64_t width() const { return param.dim(1); }
  Checked param, ids, rows;
  std::vector<int32_t> own;  // of the ids
};

}  // namespace cavs
