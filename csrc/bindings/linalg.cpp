// Linear algebra and sums over pairs, of tensors outside of vertex functions.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <utility>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/unlocked.h"
#include "cpu/kernels/lapack.h"
#include "cpu/pairwise_sums.h"

namespace py = pybind11;

namespace cavs {
namespace {

Array float_array(const char* name, py::handle value, bool written) {
  Array array(value, {"linalg", ErrorKind::kValue, name}, written);
  array.expect_float();
  return array;
}

// Calls body(T{}) with the dtype of `array`, the interpreter's lock released.
template <class Body>
auto with_dtype(const Array& array, const Body& body) {
  const Unlocked unlocked;
  const DenormalScope scope(array.dtype());
  return array.is_double() ? body(double{}) : body(float{});
}

void expect_size(const Array& array, int64_t size) {
  CAVS_CHECK(array.size() == size, ErrorKind::kShape, "[linalg] ", array.name(), ": expected ",
             size, " elements, got ", array.size(), "; give matrices of the sizes");
}

void expect_sizes(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes) {
    CAVS_CHECK(size >= 0 && size <= 0x7fffffff, ErrorKind::kShape,
               "[linalg] expected sizes of matrices from 0 to below 2^31, got ", size,
               "; correct them");
  }
}

std::pair<int64_t, int64_t> pair_of(const NoFactors& found) { return {found.matrix, found.order}; }

// Two arrays of one dtype that share no memory: count matrices (n, n), and as many (n, columns).
void expect_system(const Array& a, const Array& b, int64_t count, int64_t n, int64_t columns) {
  expect_sizes({count, n, columns});
  expect_size(a, count * n * n);
  expect_size(b, count * n * columns);
  CAVS_CHECK(a.dtype() == b.dtype(), ErrorKind::kValue, "[linalg] b: expected ",
             dtype_name(a.dtype()), ", got ", dtype_name(b.dtype()), "; convert one");
  b.expect_apart(a);
}

std::pair<int64_t, int64_t> py_cholesky(const py::object& value, int64_t count, int64_t n) {
  const Array a = float_array("a", value, true);
  expect_sizes({count, n});
  expect_size(a, count * n * n);
  return with_dtype(
      a, [&](auto zero) { return pair_of(cholesky(a.data<decltype(zero)>(), count, n)); });
}

void py_cholesky_gradient(const py::object& factor, const py::object& value, int64_t count,
                          int64_t n) {
  const Array l = float_array("l", factor, false), d = float_array("d", value, true);
  expect_system(l, d, count, n, n);
  with_dtype(l, [&](auto zero) {
    using T = decltype(zero);
    cholesky_gradient<T>(l.data<T>(), d.data<T>(), count, n);
  });
}

void py_keep_triangle(const py::object& value, int64_t count, int64_t n, bool lower,
                      double diagonal) {
  const Array a = float_array("a", value, true);
  expect_sizes({count, n});
  expect_size(a, count * n * n);
  with_dtype(a, [&](auto zero) {
    using T = decltype(zero);
    keep_triangle<T>(a.data<T>(), count, n, lower, static_cast<T>(diagonal));
  });
}

void py_solve_triangular(const py::object& triangle, const py::object& value, int64_t count,
                         int64_t n, int64_t columns, bool lower, bool transposed) {
  const Array l = float_array("l", triangle, false), b = float_array("b", value, true);
  expect_system(l, b, count, n, columns);
  with_dtype(l, [&](auto zero) {
    using T = decltype(zero);
    solve_triangular<T>(l.data<T>(), b.data<T>(), count, n, columns, lower, transposed);
  });
}

std::pair<int64_t, int64_t> py_solve(const py::object& matrix, const py::object& value,
                                     int64_t count, int64_t n, int64_t columns, bool transposed) {
  const Array a = float_array("a", matrix, true), b = float_array("b", value, true);
  expect_system(a, b, count, n, columns);
  return with_dtype(a, [&](auto zero) {
    using T = decltype(zero);
    return pair_of(solve(a.data<T>(), b.data<T>(), count, n, columns, transposed));
  });
}

void expect_pairs(const Array& x, const Array& y, const std::vector<double>& widths) {
  CAVS_CHECK(x.ndim() == 2 && y.ndim() == 2 && x.dim(1) == y.dim(1) && x.dtype() == y.dtype(),
             ErrorKind::kShape,
             "[linalg] expected two matrices of one dtype with rows of one size, got others; "
             "correct them");
  for (const double width : widths) {
    CAVS_CHECK(std::isfinite(width) && width > 0, ErrorKind::kValue,
               "[linalg] expected finite widths > 0, got ", width, "; correct it");
  }
}

double py_pairwise(const py::object& x_value, const py::object& y_value,
                   const std::vector<double>& widths, const py::object& grad_value) {
  const Array x = float_array("x", x_value, false), y = float_array("y", y_value, false);
  expect_pairs(x, y, widths);
  std::vector<Array> grad;
  if (!grad_value.is_none()) {
    grad.push_back(float_array("grad", grad_value, true));
    grad.front().expect_like(x);
    grad.front().expect_apart(x);
    grad.front().expect_apart(y);
  }
  return with_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    return pairwise_kernel_sum<T>(x.data<T>(), x.dim(0), y.data<T>(), y.dim(0), x.dim(1), widths,
                                  grad.empty() ? nullptr : grad.front().data<T>());
  });
}

void py_pairwise_curve(const py::object& x_value, const py::object& u_value,
                       const py::object& y_value, const py::object& v_value,
                       const std::vector<double>& widths, const py::object& grad_value) {
  const Array x = float_array("x", x_value, false), y = float_array("y", y_value, false);
  const Array u = float_array("u", u_value, false), v = float_array("v", v_value, false);
  const Array grad = float_array("grad", grad_value, true);
  expect_pairs(x, y, widths);
  u.expect_like(x);
  v.expect_like(y);
  grad.expect_like(x);
  for (const Array* each : {&x, &u, &y, &v}) grad.expect_apart(*each);
  with_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    pairwise_kernel_curve<T>(x.data<T>(), u.data<T>(), x.dim(0), y.data<T>(), v.data<T>(), y.dim(0),
                             x.dim(1), widths, grad.data<T>());
  });
}

}  // namespace

void bind_linalg(py::module_& m) {
  using py::arg;
  m.def("cholesky_", &py_cholesky, arg("a"), arg("count"), arg("n"),
        "Writes the lower Cholesky factors of `count` matrices (n, n) over them. Gives (number of "
        "the first matrix that is not positive definite, order of its leading minor that is not), "
        "or (-1, 0).");
  m.def("cholesky_gradient_", &py_cholesky_gradient, arg("l"), arg("d"), arg("count"), arg("n"),
        "Writes the gradients by A over those, d, by L of A = L L^T.");
  m.def("keep_triangle_", &py_keep_triangle, arg("a"), arg("count"), arg("n"), arg("lower"),
        arg("diagonal"),
        "Writes zeros above, or below, the diagonals of `count` matrices (n, n), which it "
        "multiplies.");
  m.def("solve_triangular_", &py_solve_triangular, arg("l"), arg("b"), arg("count"), arg("n"),
        arg("columns"), arg("lower"), arg("transposed"),
        "Writes op(L)^-1 B over each B (n, columns).");
  m.def("solve_", &py_solve, arg("a"), arg("b"), arg("count"), arg("n"), arg("columns"),
        arg("transposed"),
        "Writes op(A)^-1 B over each B (n, columns), and factors over A. Gives (number of the "
        "first singular matrix, order of the minor that is zero), or (-1, 0).");
  m.def("pairwise_kernel_sum", &py_pairwise, arg("x"), arg("y"), arg("widths"),
        arg("grad").none(true),
        "Sum of exp(-|x_i - y_j|^2 / (2 w^2)) over all rows of x and y and all widths w; writes "
        "its gradient by x to `grad`, unless that is None.");
  m.def("pairwise_kernel_curve", &py_pairwise_curve, arg("x"), arg("u"), arg("y"), arg("v"),
        arg("widths"), arg("grad"),
        "Writes to `grad` the gradient by x of the sum over all pairs of rows of <g, u_i - v_j>, "
        "where g is the gradient by x_i of what the pair adds to pairwise_kernel_sum.");
}

}  // namespace cavs
