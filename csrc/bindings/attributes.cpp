// Reads a mapping of names to numbers as the typed attributes of a kernel.
#include "bindings/attributes.h"

#include <pybind11/stl.h>

#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "bindings/read.h"
#include "group/group.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kComponent = "program";

class Reader {
 public:
  Reader(KernelId kernel, py::handle fields) : kernel_(kernel) {
    CAVS_CHECK(py::isinstance<py::dict>(fields), ErrorKind::kValue,
               "[program] expected a dictionary as the attributes of '", kernel->name, "', got ",
               describe(fields), "; name them");
    fields_ = py::reinterpret_borrow<py::dict>(fields);
  }

  void operator()(const char* name, bool& value) { value = take<bool>(name, "a truth value"); }
  void operator()(const char* name, int64_t& value) { value = take<int64_t>(name, "an integer"); }
  void operator()(const char* name, uint32_t& value) {
    value = take<uint32_t>(name, "an integer of 32 bits");
  }
  void operator()(const char* name, double& value) { value = take<double>(name, "a number"); }
  void operator()(const char* name, Dims& dims) {
    const auto sizes = take<std::vector<int64_t>>(name, "integers");
    CAVS_CHECK(sizes.size() <= kMaxRank, ErrorKind::kValue, "[program] expected up to ", kMaxRank,
               " dims as '", name, "' of '", kernel_->name, "', got ", sizes.size(), "; join some");
    dims.rank = static_cast<int>(sizes.size());
    std::copy(sizes.begin(), sizes.end(), dims.sizes);
  }

  template <size_t Count>
  void operator()(const char* name, int64_t (&numbers)[Count]) {
    const auto values = take<std::vector<int64_t>>(name, "integers");
    CAVS_CHECK(values.size() == Count, ErrorKind::kValue, "[program] expected ", Count,
               " numbers as '", name, "' of '", kernel_->name, "', got ", values.size(),
               "; pass as many");
    std::copy(values.begin(), values.end(), numbers);
  }
  void operator()(const char* name, std::vector<int64_t>& values) {
    values = take<std::vector<int64_t>>(name, "integers");
  }

  void read_group(Group* group) {
    (*this)("width", group->width);
    for (const py::handle input : items("inputs")) {
      const py::tuple fields = read_tuple(input, 2, kComponent, "an input of a group");
      group->inputs.push_back({read_as<Read>(fields[0], kComponent, "a Read of an input"),
                               read_as<bool>(fields[1], kComponent, "whether an input is narrow")});
    }
    group->constants = take<std::vector<double>>("constants", "numbers");
    for (const py::handle call : items("calls")) group->calls.push_back(read_call(call));
    group->outputs = take<std::vector<int>>("outputs", "integers");
  }

  void finish() const {
    CAVS_CHECK(taken_ == fields_.size(), ErrorKind::kValue, "[program] expected ", taken_,
               " attributes of '", kernel_->name, "', got ", describe(fields_),
               "; leave the others out");
  }

 private:
  py::object field(const char* name) {
    CAVS_CHECK(fields_.contains(name), ErrorKind::kValue, "[program] expected attribute '", name,
               "' of '", kernel_->name, "', got ", describe(fields_), "; add it");
    ++taken_;
    return fields_[name];
  }
  template <class T>
  T take(const char* name, const char* what) {
    const std::string of = std::string(what) + " as '" + name + "' of '" + kernel_->name + "'";
    return read_as<T>(field(name), kComponent, of.c_str());
  }
  py::tuple items(const char* name) { return read_items(field(name), kComponent, name); }

  static ScalarCall read_call(py::handle item) {
    const py::tuple fields = read_tuple(item, 2, kComponent, "a call of a group");
    const auto name = read_as<std::string>(fields[0], kComponent, "the name of an operation");
    const auto values =
        read_as<std::vector<int>>(fields[1], kComponent, "integers as the operands of a call");
    ScalarCall call;
    call.op = scalar_opcode(name);
    CAVS_CHECK(call.op >= 0, ErrorKind::kValue,
               "[program] expected the name of a scalar operation, got '", name,
               "'; take one of scalar_ops()");
    CAVS_CHECK(static_cast<int>(values.size()) == scalar_op_arity(call.op), ErrorKind::kValue,
               "[program] expected ", scalar_op_arity(call.op), " operands of '", name, "', got ",
               values.size(), "; correct the call");
    std::copy(values.begin(), values.end(), call.arguments.begin());
    return call;
  }

  KernelId kernel_;
  py::dict fields_;
  size_t taken_ = 0;
};

}  // namespace

Attributes read_attributes(KernelId kernel, py::handle fields) {
  Attributes attributes = kernel->attributes;
  Reader reader(kernel, fields);
  std::visit(
      [&](auto& each) {
        using T = std::decay_t<decltype(each)>;
        if constexpr (std::is_same_v<T, Group>) {
          reader.read_group(&each);
        } else {
          T::fields(each, reader);
        }
      },
      attributes);
  reader.finish();
  return attributes;
}

void complete_attributes(const Program& program, Instruction* instruction) {
  const SpaceKind kind = instruction->space.kind;
  const SampledRows rows = kind == SpaceKind::kEdge    ? SampledRows::kEdge
                           : kind == SpaceKind::kGraph ? SampledRows::kGraph
                           : kind == SpaceKind::kNone  ? SampledRows::kBatch
                                                       : SampledRows::kVertex;
  const int edges =
      kind == SpaceKind::kEdge ? edge_list_of(program, instruction->space.members) : 0;
  if (auto* uniform = std::get_if<UniformAttributes>(&instruction->attributes)) {
    uniform->rows = rows;
    uniform->edges = edges;
  } else if (auto* dropout = std::get_if<DropoutAttributes>(&instruction->attributes)) {
    dropout->rows = rows;
    dropout->edges = edges;
  } else if (auto* load = std::get_if<LoadAttributes>(&instruction->attributes)) {
    for (const int id : instruction->outputs) {
      const bool known = id >= 0 && id < static_cast<int>(program.values.size());
      load->integers = known && program.values[static_cast<size_t>(id)].dtype == DType::kInt32;
    }
  }
}

}  // namespace cavs
