// Small loops over NumPy's integer arrays that are called for each minibatch.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/missing_ids.h"
#include "bindings/own_ids.h"
#include "cpu/step_arithmetic.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;

using Int64s = py::array_t<int64_t, py::array::c_style | py::array::forcecast | kAligned>;

template <class T, class Bound>
py::ssize_t find_outside(const T* values, py::ssize_t count, Bound low, Bound high) {
  const auto inside = [low, high](T value) { return value >= low && value < high; };
  const T* end = values + count;
  const T* found = std::find_if_not(values, end, inside);
  return found == end ? -1 : found - values;
}

py::ssize_t first_outside(const py::array& values, int64_t low, int64_t high) {
  const bool dense = (values.flags() & py::array::c_style) != 0;
  const bool aligned = (values.flags() & kAligned) != 0;
  if (dense && aligned && py::isinstance<py::array_t<int32_t>>(values)) {
    return find_outside(static_cast<const int32_t*>(values.data()), values.size(), low, high);
  }
  if (values.dtype().kind() == 'u' && values.itemsize() == 8) {  // may not fit int64
    const py::array_t<uint64_t, py::array::c_style | kAligned> dense_values(values);
    const auto least = static_cast<uint64_t>(std::max<int64_t>(low, 0));
    return find_outside(dense_values.data(), dense_values.size(), least,
                        static_cast<uint64_t>(std::max<int64_t>(high, 0)));
  }
  const Int64s converted(values);
  return find_outside(converted.data(), converted.size(), low, high);
}

bool alike(const py::array& a, const py::array& b) {
  return a.ndim() == b.ndim() && std::equal(a.shape(), a.shape() + a.ndim(), b.shape()) &&
         (a.dtype().is(b.dtype()) || a.dtype().equal(b.dtype()));
}

py::ssize_t first_unlike(const std::vector<py::array>& arrays,
                         const std::vector<py::array>& partners) {
  const auto found = std::mismatch(arrays.begin(), arrays.end(), partners.begin(), partners.end(),
                                   [](const auto& a, const auto& b) { return alike(a, b); });
  const bool none = found.first == arrays.end() && found.second == partners.end();
  return none ? -1 : found.first - arrays.begin();
}

py::object missing_ids(const py::array_t<int32_t, py::array::c_style | kAligned>& ids,
                       const py::array_t<bool, py::array::c_style>& known) {
  return missing_among(own_ids(ids.data(), ids.size()), known);
}

py::array_t<int64_t> rows_of_samples(const Int64s& ptr, const Int64s& samples) {
  const std::vector<int64_t> chosen = own_ids(samples.data(), samples.size());
  const auto count = static_cast<py::ssize_t>(chosen.size());
  const py::ssize_t outside =
      find_outside<int64_t, int64_t>(chosen.data(), count, 0, ptr.size() - 1);
  CAVS_CHECK(outside < 0, ErrorKind::kValue, "[data] expected sample numbers from 0 to ",
             ptr.size() - 2, ", got ", chosen[static_cast<size_t>(outside)], "; check the indices");
  std::vector<std::array<int64_t, 2>> spans(chosen.size());
  py::ssize_t total = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    copy_ids(ptr.data() + chosen[i], 2, spans[i].data());
    int64_t size = 0;
    const bool fits = !__builtin_sub_overflow(spans[i][1], spans[i][0], &size);
    CAVS_CHECK(fits && size >= 0 && !__builtin_add_overflow(total, size, &total), ErrorKind::kValue,
               "[data] expected ascending offsets, got ", size, " rows of sample ", chosen[i],
               "; check the offsets");
  }
  py::array_t<int64_t> rows(total);
  int64_t* next = rows.mutable_data();
  for (const auto& [begin, end] : spans) {
    for (int64_t row = begin; row < end; ++row) *next++ = row;
  }
  return rows;
}

using Ids = py::array_t<int32_t, py::array::c_style>;

// Values of (count, ...) as rows of one width.
template <class T>
py::tuple sum_of_rows(const Ids& ids_a, const py::array_t<T, py::array::c_style>& a,
                      const Ids& ids_b, const py::array_t<T, py::array::c_style>& b) {
  CAVS_CHECK(a.ndim() >= 1 && a.ndim() == b.ndim() && a.shape(0) == ids_a.size() &&
                 b.shape(0) == ids_b.size() &&
                 std::equal(a.shape() + 1, a.shape() + a.ndim(), b.shape() + 1),
             ErrorKind::kShape, "[row-sparse] expected a row for each id, all of one shape, got ",
             a.size(), " and ", b.size(), " elements for ", ids_a.size(), " and ", ids_b.size(),
             " ids; pass arrays that match");
  int64_t width = 1;
  for (int axis = 1; axis < a.ndim(); ++axis) width *= a.shape(axis);
  std::vector<py::ssize_t> shape(a.shape(), a.shape() + a.ndim());
  shape[0] += b.shape(0);
  Ids ids(shape[0]);
  py::array_t<T> rows(shape);
  const RowsView<T> first{ids_a.data(), a.data(), ids_a.size()};
  const RowsView<T> second{ids_b.data(), b.data(), ids_b.size()};
  const auto count = cpu_step_arithmetic<T>().merge_rows(first, second, width, ids.mutable_data(),
                                                         rows.mutable_data());
  const py::slice taken(0, count, 1);
  return py::make_tuple(ids[taken], rows[taken]);
}

}  // namespace

py::object missing_among(const std::vector<int32_t>& ids,
                         const py::array_t<bool, py::array::c_style>& known) {
  const bool* entry = known.data();
  const py::ssize_t size = known.size();
  CAVS_CHECK(size > 0, ErrorKind::kValue,
             "[input] expected an entry for the id -1 as the last of `known`, got none; add it");
  std::vector<int32_t> missing;
  for (const int32_t id : ids) {
    CAVS_CHECK(id >= -1 && id < size, ErrorKind::kValue, "[input] expected ids from -1 to ",
               size - 1, ", got ", id, "; check the ids");
    if (!entry[id < 0 ? size - 1 : id]) missing.push_back(id);
  }
  if (missing.empty()) return py::none();
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  return py::array_t<int32_t>(static_cast<py::ssize_t>(missing.size()), missing.data());
}

void bind_loops(py::module_& m) {
  m.def("first_outside", &first_outside, py::arg("values"), py::arg("low"), py::arg("high"),
        "Position of the first integer outside of low..high - 1 in an array, or -1.");
  m.def("first_unlike", &first_unlike, py::arg("arrays"), py::arg("partners"),
        "Position of the first array of another shape or dtype than its partner, or -1.");
  m.def("missing_ids", &missing_ids, py::arg("ids"), py::arg("known"),
        "Distinct ids, ascending, whose entry in `known` is False; the last entry is that of "
        "-1. None where no id is missing.");
  m.def("sum_of_rows", &sum_of_rows<float>, py::arg("ids_a").noconvert(), py::arg("a").noconvert(),
        py::arg("ids_b").noconvert(), py::arg("b").noconvert());
  m.def("sum_of_rows", &sum_of_rows<double>, py::arg("ids_a").noconvert(), py::arg("a").noconvert(),
        py::arg("ids_b").noconvert(), py::arg("b").noconvert(),
        "(ids, rows) of the sum of two matrices given by rows with ascending distinct ids.");
  m.def("rows_of_samples", &rows_of_samples, py::arg("ptr"), py::arg("samples"),
        "int64: rows ptr[s]..ptr[s + 1] - 1 of each sample s, one sample after the other.");
}

}  // namespace cavs
