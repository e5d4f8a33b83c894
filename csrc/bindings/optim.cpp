// Optimiser steps on NumPy arrays, in place.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/dtype.h"
#include "kernels/cpu/optimizers.h"

namespace py = pybind11;

namespace cavs {
namespace {

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
               array_.size(), "; they must have one shape");
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

void expect_float(const Checked& array, const char* name) {
  CAVS_CHECK(!array.is_int(), ErrorKind::kValue, "[optim] ", name,
             ": expected float32 or float64, got int32; convert it");
}

void expect_finite(const char* name, double value) {
  CAVS_CHECK(std::isfinite(value), ErrorKind::kValue, "[optim] ", name,
             ": expected a finite number, got ", value, "; check the optimizer's settings");
}

void expect_step(int64_t step) {
  CAVS_CHECK(step >= 1, ErrorKind::kValue, "[optim] step: expected 1 or more, got ", step,
             "; count updates from 1");
}

// Calls body(T{}) with the dtype of `array`, the GIL released.
template <class Body>
auto dispatch(const Checked& array, const Body& body) {
  const py::gil_scoped_release release;
  const DenormalScope scope(array.is_double() ? DType::kFloat64 : DType::kFloat32);
  return array.is_double() ? body(double{}) : body(float{});
}

Checked state_like(const char* name, const py::object& value, const Checked& param) {
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
               params_.size(), " of them, one a param, got ", steps.size());
    for (const int64_t step : steps) expect_step(step);
    steps_ = steps;
  }

  // Calls body(updates) for the parameters of float32 and for those of float64, without the
  // interpreter's lock.
  template <class Body>
  void dispatch(const Body& body) const {
    const auto single = updates<float>(false);
    const auto twice = updates<double>(true);
    const py::gil_scoped_release release;
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
               " arrays, one a param, got ", py::len(values));
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
    check_row_ids(ids.data<int32_t>(), count(), param.dim(0));
  }
  int64_t count() const { return ids.dim(0); }
  int64_t width() const { return param.dim(1); }
  Checked param, ids, rows;
};

void sgd(const py::sequence& params, const py::sequence& grads,
         const std::optional<py::sequence>& momentum_buffers, double lr, double momentum,
         double weight_decay, bool nesterov) {
  Dense dense(params, grads);
  expect_finite("lr", lr);
  expect_finite("momentum", momentum);
  expect_finite("weight_decay", weight_decay);
  CAVS_CHECK(momentum == 0 || momentum_buffers.has_value(), ErrorKind::kValue,
             "[optim] momentum_buffer: expected arrays since momentum is ", momentum,
             ", got None; make them of zeros like the params");
  if (momentum != 0) dense.add_state("momentum_buffer", *momentum_buffers);
  const SgdSettings settings{lr, momentum, weight_decay, nesterov};
  dense.dispatch([&](const auto& updates) { sgd_step(settings, updates); });
}

void adagrad(const py::sequence& params, const py::sequence& grads, const py::sequence& sums,
             double lr, double eps, double weight_decay) {
  Dense dense(params, grads);
  dense.add_state("state_sum", sums);
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  expect_finite("weight_decay", weight_decay);
  const AdagradSettings settings{lr, eps, weight_decay};
  dense.dispatch([&](const auto& updates) { adagrad_step(settings, updates); });
}

void check_adam(const AdamSettings& settings) {
  expect_finite("lr", settings.lr);
  expect_finite("eps", settings.eps);
  expect_finite("weight_decay", settings.weight_decay);
  for (const double beta : {settings.beta1, settings.beta2}) {
    CAVS_CHECK(beta >= 0 && beta < 1, ErrorKind::kValue,
               "[optim] beta: expected a number from 0 to below 1, got ", beta,
               "; check the optimizer's settings");
  }
}

void adam(const py::sequence& params, const py::sequence& grads, const py::sequence& ms,
          const py::sequence& vs, const std::vector<int64_t>& steps, double lr, double beta1,
          double beta2, double eps, double weight_decay, bool decoupled) {
  Dense dense(params, grads);
  dense.add_state("exp_avg", ms);
  dense.add_state("exp_avg_sq", vs);
  dense.add_steps(steps);
  const AdamSettings settings{lr, beta1, beta2, eps, weight_decay, decoupled, false};
  check_adam(settings);
  dense.dispatch([&](const auto& updates) { adam_step(settings, updates); });
}

void sgd_rows(const py::object& param_value, const py::object& ids, const py::object& rows,
              double lr) {
  const Sparse sparse(param_value, ids, rows);
  expect_finite("lr", lr);
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    sgd_step_rows<T>({lr, 0, 0, false}, sparse.param.data<T>(), sparse.ids.data<int32_t>(),
                     sparse.rows.data<T>(), sparse.count(), sparse.width());
  });
}

void adagrad_rows(const py::object& param_value, const py::object& ids, const py::object& rows,
                  const py::object& sum_value, double lr, double eps) {
  const Sparse sparse(param_value, ids, rows);
  const Checked sum = state_like("state_sum", sum_value, sparse.param);
  sum.expect_apart(sparse.rows);
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    adagrad_step_rows<T>({lr, eps, 0}, sparse.param.data<T>(), sparse.ids.data<int32_t>(),
                         sparse.rows.data<T>(), sum.data<T>(), sparse.count(), sparse.width());
  });
}

void adam_rows(const py::object& param_value, const py::object& ids, const py::object& rows,
               const py::object& m_value, const py::object& v_value, int64_t step, double lr,
               double beta1, double beta2, double eps) {
  const Sparse sparse(param_value, ids, rows);
  const Checked m = state_like("exp_avg", m_value, sparse.param);
  const Checked v = state_like("exp_avg_sq", v_value, sparse.param);
  m.expect_apart(v);
  m.expect_apart(sparse.rows);
  v.expect_apart(sparse.rows);
  const AdamSettings settings{lr, beta1, beta2, eps, 0, false, true};
  expect_step(step);
  check_adam(settings);
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    adam_step_rows<T>(settings, step, sparse.param.data<T>(), sparse.ids.data<int32_t>(),
                      sparse.rows.data<T>(), m.data<T>(), v.data<T>(), sparse.count(),
                      sparse.width());
  });
}

double sum(const py::object& value) {
  const Checked x("x", value, false);
  expect_float(x, "x");
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return static_cast<double>(static_cast<T>(sum_all<T>(x.data<T>(), x.size())));
  });
}

double sum_of_squares(const py::object& value) {
  const Checked x("x", value, false);
  expect_float(x, "x");
  return dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    return sum_squares<T>(x.data<T>(), x.size());
  });
}

void scale(const py::object& value, double factor) {
  const Checked x("x", value, true);
  expect_float(x, "x");
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    scale_in_place<T>(x.data<T>(), factor, x.size());
  });
}

void add(const py::object& value, const py::object& other, double factor) {
  const Checked x("x", value, true);
  expect_float(x, "x");
  const Checked y("y", other, false);
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
  m.def("sgd_update", &sgd, arg("params"), arg("grads"), arg("momentum_buffers").none(true),
        arg("lr"), arg("momentum") = 0.0, arg("weight_decay") = 0.0, arg("nesterov") = false,
        "torch.optim.SGD's step over arrays of each list, in place; momentum_buffers start as "
        "zeros, None without momentum.");
  m.def("adagrad_update", &adagrad, arg("params"), arg("grads"), arg("state_sums"), arg("lr"),
        arg("eps") = 1e-10, arg("weight_decay") = 0.0,
        "torch.optim.Adagrad's step over arrays of each list, in place; state_sums start as the "
        "initial accumulator.");
  m.def("adam_update", &adam, arg("params"), arg("grads"), arg("exp_avgs"), arg("exp_avg_sqs"),
        arg("steps"), arg("lr"), arg("beta1") = 0.9, arg("beta2") = 0.999, arg("eps") = 1e-8,
        arg("weight_decay") = 0.0, arg("decoupled") = false,
        "torch.optim.Adam's step over arrays of each list, in place, number steps[i] (from 1) of "
        "params[i]; decoupled: AdamW's.");
  m.def("sgd_update_rows", &sgd_rows, arg("param"), arg("ids"), arg("rows"), arg("lr"),
        "SGD's step for the rows `ids` (int32, distinct, -1 passed over) of a (num, d) param.");
  m.def("adagrad_update_rows", &adagrad_rows, arg("param"), arg("ids"), arg("rows"),
        arg("state_sum"), arg("lr"), arg("eps") = 1e-10,
        "Adagrad's step for the rows `ids`; see sgd_update_rows.");
  m.def("adam_update_rows", &adam_rows, arg("param"), arg("ids"), arg("rows"), arg("exp_avg"),
        arg("exp_avg_sq"), arg("step"), arg("lr"), arg("beta1") = 0.9, arg("beta2") = 0.999,
        arg("eps") = 1e-8,
        "torch.optim.SparseAdam's step for the rows `ids`; see sgd_update_rows.");
  m.def(
      "sum", &sum, arg("x"),
      "Sum of all elements, accumulated in float64 and rounded to the array's dtype; the same for "
      "any number of threads.");
  m.def("sum_squares", &sum_of_squares, arg("x"),
        "Sum of squares, accumulated in float64; the same for any number of threads.");
  m.def("scale_", &scale, arg("x"), arg("factor"), "x *= factor, in place.");
  m.def("add_", &add, arg("x"), arg("y"), arg("factor") = 1.0, "x += factor * y, in place.");
}

}  // namespace cavs
