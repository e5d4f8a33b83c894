#include "bindings/kernel_checks.h"

#include <algorithm>

#include "base/error.h"
#include "bindings/array.h"
#include "memory/dynamic_tensor.h"
#include "program/access.h"
#include "program/validate.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr int64_t kSlack = 64;  // bytes after padded rows that a kernel may read and write

void expect(bool condition, const char* expected, int64_t came) {
  CAVS_CHECK(condition, ErrorKind::kValue, "[kernels] expected ", expected, ", got ", came,
             "; correct the call");
}

// Bytes of the array that owns the memory.
std::pair<uintptr_t, uintptr_t> owned_bytes(py::array array) {
  while (true) {
    const py::object base = array.base();
    if (!base || !py::isinstance<py::array>(base)) break;
    array = py::reinterpret_borrow<py::array>(base);
  }
  const auto begin = reinterpret_cast<uintptr_t>(array.data());
  const bool dense = (array.flags() & (py::array::c_style | py::array::f_style)) != 0;
  return {begin, begin + (dense ? static_cast<uintptr_t>(array.nbytes()) : 0)};
}

class CallChecker {
 public:
  explicit CallChecker(const DirectCall& call)
      : call_(call), begin_(call.rows.first), end_(call.rows.second) {}

  void check() {
    expect(begin_ >= 0 && end_ >= begin_ && end_ < (int64_t{1} << 31),
           "rows from 0 on, the end not before the beginning", begin_ < 0 ? begin_ : end_);
    expect(call_.tables.size() <= std::max<size_t>(1, call_.inputs.size()),
           "at most one table for each input", static_cast<int64_t>(call_.tables.size()));
    describe();
    check_signature(program_, instruction_);
    const bool reduces = is_reduction(instruction_);
    for (size_t i = 0; i < call_.inputs.size(); ++i) check_input(i);
    if (call_.inputs.empty() && !call_.tables.empty()) check_source(call_.tables[0]);
    for (const py::array& output : call_.outputs) {
      expect(reduces == (output.ndim() == 1) || end_ <= 1,
             "outputs with rows, and of sums over rows none", output.ndim());
      check_written(output);
    }
    for (size_t i = 0; i < call_.inputs.size() + call_.outputs.size(); ++i) check_padding(i);
    const bool draws = call_.kernel == "uniform" || call_.kernel == "dropout";
    if (draws && (call_.random.training || call_.kernel == "uniform")) check_random();
  }

 private:
  // The call as an instruction of a program, of which its kernel's operands can be checked.
  void describe() {
    program_.dtype = call_.dtype;
    instruction_.kernel = call_.kernel;
    instruction_.ints = call_.ints;
    instruction_.floats = call_.floats;
    instruction_.space.kind = SpaceKind::kVertex;
    const bool draws = call_.kernel == "uniform" || call_.kernel == "dropout";
    if (draws && call_.ints.size() > 1) {
      if (call_.ints[1] == 1) instruction_.space.kind = SpaceKind::kEdge;
      if (call_.ints[1] == 2) instruction_.space.kind = SpaceKind::kGraph;
    }
    for (const py::array& array : call_.inputs) instruction_.inputs.push_back(value_of(array));
    for (const py::array& array : call_.outputs) instruction_.outputs.push_back(value_of(array));
    for (const CheckedTable& table : call_.tables) instruction_.tables.push_back({kind_of(table)});
    const bool source = call_.inputs.empty() && instruction_.tables.size() == 1;
    if (!source) instruction_.tables.resize(call_.inputs.size());
    if (is_slots()) instruction_.tables.assign(call_.inputs.size(), {TableKind::kParent});
  }

  // One array, given twice, is one value: a sum that goes on from what stands in its output.
  int value_of(const py::array& array) {
    for (size_t id = 0; id < arrays_.size(); ++id) {
      const py::array& other = arrays_[id];
      if (other.data() == array.data() && other.ndim() == array.ndim() &&
          std::equal(other.shape(), other.shape() + other.ndim(), array.shape())) {
        return static_cast<int>(id);
      }
    }
    const std::optional<DType> dtype = engine_dtype(array.dtype());
    CAVS_CHECK(dtype && (*dtype == call_.dtype || *dtype == DType::kInt32), ErrorKind::kValue,
               "[kernels] expected arrays of ", dtype_name(call_.dtype), " or int32, got ",
               std::string(py::str(array.dtype())), "; convert it");
    const auto address = reinterpret_cast<uintptr_t>(array.data());
    CAVS_CHECK(address % static_cast<uintptr_t>(array.itemsize()) == 0, ErrorKind::kValue,
               "[kernels] expected an aligned array, got one at an odd address; copy it");
    ValueSpec value;
    value.name = "array " + std::to_string(arrays_.size());
    value.space.kind = array.ndim() == 1 ? SpaceKind::kNone : instruction_.space.kind;
    value.size = array.shape(array.ndim() - 1);
    value.dtype = *dtype;
    arrays_.push_back(array);
    program_.values.push_back(value);
    return static_cast<int>(arrays_.size()) - 1;
  }

  TableKind kind_of(const CheckedTable& table) const {
    if (call_.kernel == "unique_ids") return TableKind::kUniqueIds;
    if (call_.kernel == "segment_softmax") return TableKind::kSiblings;
    if (call_.kernel == "slots_to_edges") return TableKind::kParent;
    if (table.ptr.data != nullptr) {
      if (table.part.data != nullptr) return TableKind::kParentRows;
      return table.list.data != nullptr && !call_.inputs.empty() ? TableKind::kChildRows
                                                                 : TableKind::kChildren;
    }
    return table.index.data != nullptr ? TableKind::kChild : TableKind::kNone;
  }

  bool is_slots() const { return call_.kernel == "slots_to_edges"; }

  void check_input(size_t i) {
    const py::array& array = call_.inputs[i];
    // All inputs of slots_to_edges go through the first table.
    const size_t number = is_slots() ? 0 : i;
    const CheckedTable table = number < call_.tables.size() ? call_.tables[number] : CheckedTable();
    const bool scatters = call_.kernel == "store" && table.index.data != nullptr;
    const int64_t rows = array.ndim() == 2 ? array.shape(0) : int64_t{1} << 31;
    if (is_slots() || call_.kernel == "segment_softmax") {
      expect(table.index.size >= end_ && table.ptr.data == nullptr,
             "an index with an entry for each row", table.index.size);
    }
    if (table.index.data == nullptr && table.ptr.data == nullptr) {
      expect(end_ <= rows, "inputs with the rows of the call", rows);
      return;
    }
    if (call_.kernel == "segment_softmax" || scatters) {
      expect(end_ <= rows, "inputs with the rows of the call", rows);
    }
    if (table.ptr.data != nullptr) {
      expect(table.index.data == nullptr, "an index or lists, not both", table.index.size);
      check_lists(table, array, rows);
    } else if (scatters) {
      check_index(table, call_.outputs[0].shape(0));
    } else if (call_.kernel != "segment_softmax") {
      check_index(table, rows);
    }
    if (!is_slots()) return;
    expect(table.list.size >= end_, "a position for each row", table.list.size);
    for (int64_t r = begin_; r < end_; ++r) {
      expect(table.list.data[r] >= 0, "positions of 0 or more", table.list.data[r]);
    }
  }

  void check_index(const CheckedTable& table, int64_t rows) const {
    expect(table.index.size >= end_, "an index with an entry for each row", table.index.size);
    for (int64_t r = begin_; r < end_; ++r) {
      const int64_t row = table.index.data[r];
      expect(row >= -1 && row < rows, "an index of rows of the array, or -1", row);
    }
  }

  void check_lists(const CheckedTable& table, const py::array& array, int64_t rows) const {
    check_offsets(table.ptr);
    if (begin_ == end_) return;
    const int64_t first = table.ptr.data[begin_], last = table.ptr.data[end_];
    if (table.list.data == nullptr) {
      expect(last <= rows, "lists within the rows of the array", last);
    } else {
      expect(last <= table.list.size, "offsets within the list", last);
      for (int64_t i = first; i < last; ++i) {
        const int64_t row = table.list.data[i];
        expect(row >= 0 && row < rows, "a list of rows of the array", row);
      }
    }
    if (table.part.data == nullptr) return;
    expect(last <= table.part.size, "offsets within the parts", last);
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = table.list.data == nullptr ? i : table.list.data[i];
      check_part(array, row, table.part.data[i]);
    }
  }

  // Part `part` of a row stands so many elements further on.
  static void check_part(const py::array& array, int64_t row, int64_t part) {
    const int64_t item = array.itemsize(), size = array.shape(array.ndim() - 1);
    const int64_t stride = array.ndim() == 2 ? array.strides(0) : 0;
    const auto [begin, end] = owned_bytes(array);
    const auto at = reinterpret_cast<uintptr_t>(array.data()) +
                    static_cast<uintptr_t>(row * stride + part * size * item);
    expect(part >= 0 && part < (int64_t{1} << 24) && at >= begin &&
               at + static_cast<uintptr_t>(size * item) <= end,
           "parts of the array's rows", part);
  }

  void check_offsets(const IndexArray& ptr) const {
    expect(ptr.size > end_, "an offset more than rows", ptr.size);
    for (int64_t r = begin_; r < end_; ++r) {
      expect(ptr.data[r] >= 0 && ptr.data[r] <= ptr.data[r + 1], "offsets that ascend from 0",
             ptr.data[r + 1]);
    }
  }

  // Of a kernel without operands.
  void check_source(const CheckedTable& table) const {
    if (call_.kernel == "num_children") {
      check_offsets(table.ptr);
    } else {
      expect(table.index.size >= end_, "an index with an entry for each row", table.index.size);
    }
  }

  void check_written(const py::array& output) const {
    const bool scatters =
        call_.kernel == "store" && !call_.tables.empty() && call_.tables[0].index.data != nullptr;
    const bool reduces = is_reduction(instruction_);
    if (output.ndim() != 2 || scatters || reduces) return;
    expect(end_ <= output.shape(0), "outputs with the rows of the call", output.shape(0));
  }

  void check_padding(size_t i) const {
    if (i >= call_.padded.size() || !call_.padded[i]) return;
    const size_t inputs = call_.inputs.size();
    const py::array& array = i < inputs ? call_.inputs[i] : call_.outputs[i - inputs];
    const int64_t item = array.itemsize(), size = array.shape(array.ndim() - 1);
    const int64_t rows = array.ndim() == 2 ? array.shape(0) : 1;
    const int64_t ld = array.ndim() == 2 ? array.strides(0) / item : row_stride(size);
    expect(rows <= 1 || ld >= row_stride(size), "padded rows", ld);
    const auto at = reinterpret_cast<uintptr_t>(array.data());
    const auto taken = static_cast<uintptr_t>(
        ((std::max<int64_t>(rows, 1) - 1) * ld + row_stride(size)) * item + kSlack);
    const auto [begin, end] = owned_bytes(array);
    expect(at >= begin && at + taken <= end, "room after padded rows", size);
  }

  void check_random() const {
    const CheckedRandom& random = call_.random;
    const int64_t space = call_.ints[1];
    if (space == 2) {
      expect(random.num_graphs >= end_, "a key for each graph", random.num_graphs);
      return;
    }
    const IndexArray& graph = space == 0 ? random.vertex_graph : random.edge_graph;
    const IndexArray& local = space == 0 ? random.vertex_local : random.edge_local;
    expect(graph.size >= end_ && local.size >= end_, "a graph and a number for each row",
           std::min(graph.size, local.size));
    for (int64_t r = begin_; r < end_; ++r) {
      expect(graph.data[r] >= 0 && graph.data[r] < random.num_graphs, "graphs that have a key",
             graph.data[r]);
    }
  }

  const DirectCall& call_;
  const int64_t begin_, end_;
  Program program_;
  Instruction instruction_;
  std::vector<py::array> arrays_;  // [value]
};

}  // namespace

void check_call(const DirectCall& call) { CallChecker(call).check(); }

}  // namespace cavs
