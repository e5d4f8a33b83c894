// Checks at each call whether its inputs have the form that the engine takes.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/own_ids.h"
#include "bindings/read.h"
#include "graph/graph_batch.h"
#include "program/program.h"

namespace py = pybind11;

namespace cavs {
namespace {

int64_t rows_of(const GraphBatch& graphs, SpaceKind space) {
  if (space == SpaceKind::kNone) return 1;
  if (space == SpaceKind::kEdge) return graphs.num_edges();
  return space == SpaceKind::kGraph ? graphs.num_graphs() : graphs.num_vertices();
}

// The form that an input must have: an array of `shape` for each row of a space, or one where it
// has no rows. Ids are -1 or more, and below `bound`.
class InputForm {
 public:
  InputForm(py::object name, SpaceKind space, DType dtype, std::vector<int64_t> shape,
            int64_t bound)
      : name_(std::move(name)),
        space_(space),
        dtype_(dtype),
        shape_(std::move(shape)),
        bound_(bound) {}

  // Whether `inputs` has an input of this form. Replaces its ids in `inputs` by a copy: other
  // threads may write to the caller's array while the call runs, and the call must read the same
  // ids that were checked.
  // `rows`: how many the array must have.
  bool take(int64_t rows, py::dict* inputs) const {
    PyObject* given = PyDict_GetItemWithError(inputs->ptr(), name_.ptr());  // borrowed
    if (given == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (given == nullptr) return false;
    if (Py_TYPE(given) != py::detail::npy_api::get().PyArray_Type_) return false;
    const ArrayForm form = form_of(given);
    const bool fits = form.dtype == dtype_ && form.dense && fits_shape(rows, form);
    return fits && (dtype_ != DType::kInt32 || take_ids(form, inputs));
  }

  int64_t rows_in(const GraphBatch& graphs) const { return rows_of(graphs, space_); }
  bool has_ids() const { return dtype_ == DType::kInt32; }

 private:
  bool fits_shape(int64_t rows, const ArrayForm& form) const {
    if (space_ == SpaceKind::kNone) {
      return form.ndim == static_cast<int64_t>(shape_.size()) &&
             std::equal(shape_.begin(), shape_.end(), form.shape);
    }
    return form.ndim == static_cast<int64_t>(shape_.size()) + 1 && form.shape[0] == rows &&
           std::equal(shape_.begin(), shape_.end(), form.shape + 1);
  }

  bool take_ids(const ArrayForm& form, py::dict* inputs) const {
    const py::array_t<int32_t> copy(std::vector<py::ssize_t>(form.shape, form.shape + form.ndim));
    int32_t* ids = const_cast<int32_t*>(copy.data());
    copy_ids(static_cast<const int32_t*>(form.data), form.elements, ids);
    if (PyDict_SetItem(inputs->ptr(), name_.ptr(), copy.ptr()) != 0) throw py::error_already_set();
    return std::all_of(ids, ids + copy.size(),
                       [this](int32_t id) { return id >= -1 && id < bound_; });
  }

  py::object name_;
  SpaceKind space_;
  DType dtype_;
  std::vector<int64_t> shape_;
  int64_t bound_;
};

// All inputs of a function.
class InputForms {
 public:
  explicit InputForms(const py::sequence& specs) {
    for (const py::handle item : specs) {
      const py::tuple fields = read_tuple(item, 5, "input", "an input");
      forms_.emplace_back(py::object(fields[0]),
                          read_as<SpaceKind>(fields[1], "input", "a SpaceKind"),
                          read_as<DType>(fields[2], "input", "a DType"),
                          read_as<std::vector<int64_t>>(fields[3], "input", "integers as a shape"),
                          read_as<int64_t>(fields[4], "input", "an integer as the bound of ids"));
    }
  }

  py::object take(const GraphBatch& graphs, const py::dict& inputs,
                  const std::optional<std::vector<int64_t>>& rows) const {
    if (inputs.size() != forms_.size()) return py::none();
    CAVS_CHECK(!rows || rows->size() == forms_.size(), ErrorKind::kValue,
               "[input] expected the rows of each of ", forms_.size(), " inputs, got ",
               rows ? rows->size() : 0, "; give as many");
    const bool has_ids = std::any_of(forms_.begin(), forms_.end(),
                                     [](const InputForm& form) { return form.has_ids(); });
    auto taken = has_ids ? py::reinterpret_steal<py::dict>(PyDict_Copy(inputs.ptr())) : inputs;
    for (size_t i = 0; i < forms_.size(); ++i) {
      if (!forms_[i].take(rows ? (*rows)[i] : forms_[i].rows_in(graphs), &taken)) return py::none();
    }
    return std::move(taken);
  }

 private:
  std::vector<InputForm> forms_;
};

}  // namespace

void bind_inputs(py::module_& m) {
  py::class_<InputForms>(m, "InputForms",
                         "From (name, space, dtype, shape of a row, bound of ids) of each input.")
      .def(py::init<const py::sequence&>(), py::arg("specs"))
      .def("take", &InputForms::take, py::arg("graphs"), py::arg("inputs"),
           py::arg("rows") = py::none(),
           "The dict, with copies of the ids, if it has the inputs of these forms and no others, "
           "each a C-contiguous array of its dtype with a row per vertex, edge or graph and ids "
           "in -1..bound - 1. Else None. `rows`: how many each must have, where vertices have "
           "types.");
}

}  // namespace cavs
