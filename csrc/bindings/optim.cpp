// Optimiser steps on NumPy arrays, in place.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"
#include "bindings/bindings.h"
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
    is_double_ = py::isinstance<py::array_t<double>>(array_);
    is_int_ = py::isinstance<py::array_t<int32_t>>(array_);
    CAVS_CHECK(is_double_ || is_int_ || py::isinstance<py::array_t<float>>(array_),
               ErrorKind::kValue, "[optim] ", name, ": expected float32, float64 or int32, got ",
               dtype_name(), "; convert it");
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
  return array.is_double() ? body(double{}) : body(float{});
}

Checked state_like(const char* name, const py::object& value, const Checked& param) {
  Checked state(name, value, true);
  state.expect_like(param);
  state.expect_apart(param);
  return state;
}

struct Dense {
  Dense(const py::object& param_value, const py::object& grad_value)
      : param("param", param_value, true), grad("grad", grad_value, false) {
    expect_float(param, "param");
    grad.expect_like(param);
    grad.expect_apart(param);
  }
  Checked param, grad;
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

void sgd(const py::object& param_value, const py::object& grad_value,
         const py::object& momentum_value, double lr, double momentum, double weight_decay,
         bool nesterov) {
  const Dense dense(param_value, grad_value);
  expect_finite("lr", lr);
  expect_finite("momentum", momentum);
  expect_finite("weight_decay", weight_decay);
  const SgdSettings settings{lr, momentum, weight_decay, nesterov};
  std::optional<Checked> buffer;
  if (!momentum_value.is_none()) {
    buffer.emplace(state_like("momentum_buffer", momentum_value, dense.param));
    buffer->expect_apart(dense.grad);
  }
  CAVS_CHECK(momentum == 0 || buffer.has_value(), ErrorKind::kValue,
             "[optim] momentum_buffer: expected an array since momentum is ", momentum,
             ", got None; make one of zeros like param");
  dispatch(dense.param, [&](auto zero) {
    using T = decltype(zero);
    sgd_step<T>(settings, dense.param.data<T>(), dense.grad.data<T>(),
                momentum != 0 ? buffer->data<T>() : nullptr, dense.param.size());
  });
}

void adagrad(const py::object& param_value, const py::object& grad_value,
             const py::object& sum_value, double lr, double eps, double weight_decay) {
  const Dense dense(param_value, grad_value);
  const Checked sum = state_like("state_sum", sum_value, dense.param);
  sum.expect_apart(dense.grad);
  expect_finite("lr", lr);
  expect_finite("eps", eps);
  expect_finite("weight_decay", weight_decay);
  const AdagradSettings settings{lr, eps, weight_decay};
  dispatch(dense.param, [&](auto zero) {
    using T = decltype(zero);
    adagrad_step<T>(settings, dense.param.data<T>(), dense.grad.data<T>(), sum.data<T>(),
                    dense.param.size());
  });
}

void check_adam(const AdamSettings& settings) {
  expect_step(settings.step);
  expect_finite("lr", settings.lr);
  expect_finite("eps", settings.eps);
  expect_finite("weight_decay", settings.weight_decay);
  for (const double beta : {settings.beta1, settings.beta2}) {
    CAVS_CHECK(beta >= 0 && beta < 1, ErrorKind::kValue,
               "[optim] beta: expected a number from 0 to below 1, got ", beta,
               "; check the optimizer's settings");
  }
}

void adam(const py::object& param_value, const py::object& grad_value, const py::object& m_value,
          const py::object& v_value, int64_t step, double lr, double beta1, double beta2,
          double eps, double weight_decay, bool decoupled) {
  const Dense dense(param_value, grad_value);
  const Checked m = state_like("exp_avg", m_value, dense.param);
  const Checked v = state_like("exp_avg_sq", v_value, dense.param);
  m.expect_apart(v);
  m.expect_apart(dense.grad);
  v.expect_apart(dense.grad);
  const AdamSettings settings{step, lr, beta1, beta2, eps, weight_decay, decoupled, false};
  check_adam(settings);
  dispatch(dense.param, [&](auto zero) {
    using T = decltype(zero);
    adam_step<T>(settings, dense.param.data<T>(), dense.grad.data<T>(), m.data<T>(), v.data<T>(),
                 dense.param.size());
  });
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
  const AdamSettings settings{step, lr, beta1, beta2, eps, 0, false, true};
  check_adam(settings);
  dispatch(sparse.param, [&](auto zero) {
    using T = decltype(zero);
    adam_step_rows<T>(settings, sparse.param.data<T>(), sparse.ids.data<int32_t>(),
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
  m.def(
      "sgd_update", &sgd, arg("param"), arg("grad"), arg("momentum_buffer").none(true), arg("lr"),
      arg("momentum") = 0.0, arg("weight_decay") = 0.0, arg("nesterov") = false,
      "torch.optim.SGD's step, in place; momentum_buffer starts as zeros, None without momentum.");
  m.def("adagrad_update", &adagrad, arg("param"), arg("grad"), arg("state_sum"), arg("lr"),
        arg("eps") = 1e-10, arg("weight_decay") = 0.0,
        "torch.optim.Adagrad's step, in place; state_sum starts as the initial accumulator.");
  m.def("adam_update", &adam, arg("param"), arg("grad"), arg("exp_avg"), arg("exp_avg_sq"),
        arg("step"), arg("lr"), arg("beta1") = 0.9, arg("beta2") = 0.999, arg("eps") = 1e-8,
        arg("weight_decay") = 0.0, arg("decoupled") = false,
        "torch.optim.Adam's step number `step` (from 1), in place; decoupled: AdamW's.");
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
