// The Python module: graphs, parameters and nothing but translation.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cpu/kernels/blas.h"
#include "dynamic/executor.h"

namespace py = pybind11;

namespace cavs::dynamic {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

Floats copy_of(const float* data, const std::vector<py::ssize_t>& shape) {
  Floats array(shape);
  std::copy_n(data, array.size(), array.mutable_data());
  return array;
}

std::vector<py::ssize_t> shape_of(const Parameter& p) {
  if (p.is_vector) return {static_cast<py::ssize_t>(p.rows)};
  return {static_cast<py::ssize_t>(p.rows), static_cast<py::ssize_t>(p.columns)};
}

int32_t add_parameter(Parameters* parameters, const std::string& name, const Floats& value,
                      bool is_lookup) {
  CAVS_CHECK(value.ndim() == 1 || value.ndim() == 2, ErrorKind::kShape, "[dynamic] parameter ",
             name, ": expected 1 or 2 dimensions, got ", value.ndim(), "; reshape it");
  const int64_t columns = value.ndim() == 2 ? value.shape(1) : 1;
  const int32_t number = parameters->add(name, value.data(), value.shape(0), columns, is_lookup);
  parameters->at(number).is_vector = value.ndim() == 1;
  return number;
}

// Of a dense parameter an array of its shape; of a table its distinct ids, ascending, and their
// rows.
py::object gradient_of(const Parameters& parameters, int32_t number) {
  const Parameter& p = parameters.at(number);
  if (!p.is_lookup) {
    Floats array = copy_of(p.gradient.data(), shape_of(p));
    if (!p.touched) std::fill_n(array.mutable_data(), array.size(), 0.0f);
    return array;
  }
  const auto count = static_cast<py::ssize_t>(p.ids.size());
  py::array_t<int32_t> ids(count);
  std::copy(p.ids.begin(), p.ids.end(), ids.mutable_data());
  std::sort(ids.mutable_data(), ids.mutable_data() + count);
  Floats rows({count, static_cast<py::ssize_t>(p.columns)});
  float* target = rows.mutable_data();
  for (py::ssize_t i = 0; i < count; ++i) {
    const int32_t slot = p.slot[static_cast<size_t>(ids.data()[i])];
    target = std::copy_n(p.gradient.data() + slot * p.columns, p.columns, target);
  }
  return py::make_tuple(ids, rows);
}

Policy policy_named(const std::string& name) {
  if (name == "none") return Policy::kNone;
  if (name == "depth") return Policy::kDepth;
  CAVS_CHECK(name == "agenda", ErrorKind::kValue,
             "[dynamic] expected a policy none, depth or agenda, got ", name,
             "; these three exist");
  return Policy::kAgenda;
}

// A graph and what runs it. Expressions are their numbers.
class ComputationGraph {
 public:
  ComputationGraph(std::shared_ptr<Parameters> parameters, const std::string& policy)
      : parameters_(std::move(parameters)),
        graph_(parameters_.get()),
        executor_(&graph_, policy_named(policy)) {}

  void renew() {
    graph_.clear();
    executor_.forget();
  }
  int32_t size() const { return graph_.size(); }

  int32_t input(const Floats& values, int32_t columns) {
    return graph_.input(values.data(), values.size(), columns);
  }
  int32_t parameter(int32_t number) { return graph_.parameter(number); }
  int32_t lookup(int32_t table, int32_t id, int32_t columns) {
    return graph_.lookup(table, id, columns);
  }
  int32_t affine(int32_t bias, int32_t w, int32_t x) { return graph_.affine(bias, w, x, -1, -1); }
  int32_t affine2(int32_t bias, int32_t w, int32_t x, int32_t u, int32_t h) {
    return graph_.affine(bias, w, x, u, h);
  }
  template <Op op>
  int32_t unary(int32_t x) {
    return graph_.unary(op, x);
  }
  template <Op op>
  int32_t binary(int32_t a, int32_t b) {
    return graph_.binary(op, a, b);
  }
  int32_t pick_range(int32_t x, int32_t begin, int32_t end) {
    return graph_.pick_range(x, begin, end);
  }
  int32_t matvec(int32_t matrix, int32_t x) { return graph_.matvec(matrix, x); }
  int32_t pick_neg_log_softmax(int32_t x, int32_t label) {
    return graph_.pick_neg_log_softmax(x, label);
  }
  int32_t sum(const py::list& x) { return graph_.sum(numbers(x)); }
  int32_t concat(const py::list& x) { return graph_.concat(numbers(x)); }

  Floats forward(int32_t x) {
    {
      const py::gil_scoped_release release;
      const DenormalScope scope(DType::kFloat32);
      executor_.forward();
    }
    return value(x);
  }
  void backward(int32_t x) {
    const py::gil_scoped_release release;
    const DenormalScope scope(DType::kFloat32);
    executor_.backward(x);
  }
  Floats value(int32_t x) const {
    const float* data = executor_.value(x);
    return copy_of(data, {graph_.node(x).columns, graph_.node(x).rows});
  }

  py::dict account() const {
    const Account& account = executor_.account();
    py::dict found;
    found["batching"] = account.batching;
    found["memory"] = account.memory;
    found["computation"] = account.computation;
    found["nodes"] = account.nodes;
    found["batches"] = account.batches;
    found["launches"] = account.launches;
    found["copies"] = account.copies;
    found["bytes"] = account.bytes;
    return found;
  }
  void reset_account() { executor_.reset_account(); }

 private:
  const std::vector<int32_t>& numbers(const py::list& x) {
    numbers_.clear();
    for (const py::handle item : x) numbers_.push_back(item.cast<int32_t>());
    return numbers_;
  }

  std::shared_ptr<Parameters> parameters_;
  Graph graph_;
  Executor executor_;
  std::vector<int32_t> numbers_;
};

}  // namespace

PYBIND11_MODULE(_dynamic, m) {
  m.doc() = "Dynamic declaration over the kernels of cavs; used through the package `dynamic`.";
  m.def("load_blas", &load_blas, py::arg("path"), "Loads the CBLAS library at `path`.");
  m.def("set_num_threads", &set_num_threads, py::arg("count"), "Threads of the optimiser.");

  py::class_<Parameters, std::shared_ptr<Parameters>>(m, "Parameters")
      .def(py::init<>())
      .def("add", &add_parameter, py::arg("name"), py::arg("value"), py::arg("is_lookup") = false,
           "Copies a float32 array (rows, columns) or (size); returns the parameter's number.")
      .def("zero_gradients", &Parameters::zero_gradients)
      .def("gradient", &gradient_of, py::arg("number"))
      .def(
          "value",
          [](const Parameters& parameters, int32_t number) {
            const Parameter& p = parameters.at(number);
            return copy_of(p.value.data(), shape_of(p));
          },
          py::arg("number"))
      .def("adagrad", &Parameters::adagrad, py::arg("learning_rate"), py::arg("eps"),
           py::call_guard<py::gil_scoped_release>());

  using G = ComputationGraph;
  py::class_<G>(m, "Graph")
      .def(py::init<std::shared_ptr<Parameters>, const std::string&>(), py::arg("parameters"),
           py::arg("policy"))
      .def("renew", &G::renew)
      .def("__len__", &G::size)
      .def("input", &G::input, py::arg("values"), py::arg("columns") = 1)
      .def("parameter", &G::parameter)
      .def("lookup", &G::lookup, py::arg("table"), py::arg("id"), py::arg("columns") = 1)
      .def("affine", &G::affine)
      .def("affine", &G::affine2)
      .def("tanh", &G::unary<Op::kTanh>)
      .def("logistic", &G::unary<Op::kLogistic>)
      .def("exp", &G::unary<Op::kExp>)
      .def("one_minus", &G::unary<Op::kOneMinus>)
      .def("add", &G::binary<Op::kSum>)
      .def("sub", &G::binary<Op::kSubtract>)
      .def("cmult", &G::binary<Op::kMultiply>)
      .def("cdiv", &G::binary<Op::kDivide>)
      .def("sum", &G::sum)
      .def("concat", &G::concat)
      .def("pick_range", &G::pick_range)
      .def("matvec", &G::matvec)
      .def("pick_neg_log_softmax", &G::pick_neg_log_softmax)
      .def("forward", &G::forward)
      .def("backward", &G::backward)
      .def("value", &G::value)
      .def("account", &G::account)
      .def("reset_account", &G::reset_account);
}

}  // namespace cavs::dynamic
