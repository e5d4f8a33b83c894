// Checks one call of a kernel that a test asks for, before it can touch memory.
#include "bindings/kernel_checks.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "bindings/array.h"
#include "bindings/attributes.h"
#include "memory/dynamic_tensor.h"
#include "program/access.h"
#include "program/attention_check.h"

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

  Attributes check() {
    expect(begin_ >= 0 && end_ >= begin_ && end_ < (int64_t{1} << 31),
           "rows from 0 on, the end not before the beginning", begin_ < 0 ? begin_ : end_);
    expect(call_.tables.size() <= std::max<size_t>(1, call_.inputs.size()),
           "at most one table for each input", static_cast<int64_t>(call_.tables.size()));
    describe();
    CAVS_CHECK(!is_attention(instruction_), ErrorKind::kValue,
               "[kernels] expected a kernel of rows and tables, got '", call_.kernel->name,
               "', which needs tables of graphs; run a program that has it");
    check_instruction(program_, instruction_);
    const bool reduces = sums_rows(instruction_);
    for (size_t i = 0; i < call_.inputs.size(); ++i) check_input(i);
    if (call_.inputs.empty() && !call_.tables.empty()) check_source(call_.tables[0]);
    for (const py::array& output : call_.outputs) {
      expect(reduces == (output.ndim() == 1) || end_ <= 1,
             "outputs with rows, and of sums over rows none", output.ndim());
      check_written(output);
    }
    for (size_t i = 0; i < call_.inputs.size() + call_.outputs.size(); ++i) check_padding(i);
    if (const auto rows = sampled_rows()) check_random(*rows);
    return instruction_.attributes;
  }

 private:
  // Describes the call as an instruction of a program, so that its operands can be checked.
  void describe() {
    program_.dtype = call_.dtype;
    instruction_.kernel = call_.kernel;
    instruction_.attributes = call_.attributes;
    instruction_.space.kind = call_.space;
    for (const py::array& array : call_.inputs) instruction_.inputs.push_back(value_of(array));
    for (const py::array& array : call_.outputs) instruction_.outputs.push_back(value_of(array));
    for (const CheckedTable& table : call_.tables) instruction_.tables.push_back({kind_of(table)});
    const bool source = call_.inputs.empty() && instruction_.tables.size() == 1;
    if (!source) instruction_.tables.resize(call_.inputs.size());
    if (is_slots()) instruction_.tables.assign(call_.inputs.size(), {TableKind::kParent});
    complete_attributes(program_, &instruction_);
  }

  // An array that is given twice is one value: the output of a sum that goes on from it.
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
    if (own_table() != TableKind::kNone) return own_table();
    if (table.ptr.data != nullptr) {
      if (table.part.data != nullptr) return TableKind::kParentRows;
      return table.list.data != nullptr && !call_.inputs.empty() ? TableKind::kChildRows
                                                                 : TableKind::kChildren;
    }
    return table.index.data != nullptr ? TableKind::kChild : TableKind::kNone;
  }

  TableKind own_table() const { return call_.kernel->tables.only; }
  bool is_slots() const { return own_table() == TableKind::kParent; }
  bool is_softmax() const { return own_table() == TableKind::kSiblings; }
  bool scatters(const CheckedTable& table) const {
    return call_.kernel->writes == Writes::kScattered && table.index.data != nullptr;
  }

  void check_input(size_t i) {
    const py::array& array = call_.inputs[i];
    // All inputs of slots_to_edges go through the first table.
    const size_t number = is_slots() ? 0 : i;
    const CheckedTable table = number < call_.tables.size() ? call_.tables[number] : CheckedTable();
    const int64_t rows = array.ndim() == 2 ? array.shape(0) : int64_t{1} << 31;
    if (is_slots() || is_softmax()) {
      expect(table.index.size >= end_ && table.ptr.data == nullptr,
             "an index with an entry for each row", table.index.size);
    }
    if (table.index.data == nullptr && table.ptr.data == nullptr) {
      expect(end_ <= rows, "inputs with the rows of the call", rows);
      return;
    }
    if (is_softmax() || scatters(table)) {
      expect(end_ <= rows, "inputs with the rows of the call", rows);
    }
    if (table.ptr.data != nullptr) {
      expect(table.index.data == nullptr, "an index or lists, not both", table.index.size);
      check_lists(table, array, rows);
    } else if (scatters(table)) {
      check_index(table, call_.outputs[0].shape(0));
    } else if (!is_softmax()) {
      check_index(table, rows);
    }
    if (std::string(call_.kernel->name) != "slots_to_edges") return;
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

  // Part `part` of a row begins `part` times `size` elements further on.
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

  // Checks the table of a kernel without operands.
  void check_source(const CheckedTable& table) const {
    if (is_list(own_table())) {
      check_offsets(table.ptr);
    } else {
      expect(table.index.size >= end_, "an index with an entry for each row", table.index.size);
    }
  }

  void check_written(const py::array& output) const {
    const bool scattered = !call_.tables.empty() && scatters(call_.tables[0]);
    if (output.ndim() != 2 || scattered || sums_rows(instruction_)) return;
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

  // The kind of rows of a kernel that draws numbers by the graphs of its rows.
  std::optional<SampledRows> sampled_rows() const {
    const Attributes& attributes = instruction_.attributes;
    if (const auto* uniform = std::get_if<UniformAttributes>(&attributes)) return uniform->rows;
    const auto* dropout = std::get_if<DropoutAttributes>(&attributes);
    const bool by_graph = dropout != nullptr && call_.inputs.size() == 1;
    if (by_graph && call_.random.training) return dropout->rows;
    return std::nullopt;
  }

  void check_random(SampledRows rows) const {
    const CheckedRandom& random = call_.random;
    if (rows == SampledRows::kBatch) return;
    if (rows == SampledRows::kGraph) {
      expect(random.num_graphs >= end_, "a key for each graph", random.num_graphs);
      return;
    }
    const bool vertex = rows == SampledRows::kVertex;
    const IndexArray& graph = vertex ? random.vertex_graph : random.edge_graph;
    const IndexArray& local = vertex ? random.vertex_local : random.edge_local;
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

Attributes check_call(const DirectCall& call) { return CallChecker(call).check(); }

}  // namespace cavs
