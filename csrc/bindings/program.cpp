// Programs, read from Python's description of them.
#include "bindings/program.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/attributes.h"
#include "bindings/bindings.h"
#include "bindings/read.h"
#include "program/kernels.h"
#include "runtime/backend.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kComponent = "program";

std::string text(py::handle item, const char* what) {
  return read_as<std::string>(item, kComponent, what);
}

int number(py::handle item, const char* what) { return read_as<int>(item, kComponent, what); }

int64_t large(py::handle item, const char* what) {
  return read_as<int64_t>(item, kComponent, what);
}

std::vector<int> numbers(py::handle item, const char* what) {
  return read_as<std::vector<int>>(item, kComponent, what);
}

// A kind, a kind with the number of its members, or the number of distinct ids.
Space read_space(py::handle item, const Program& program) {
  if (py::isinstance<py::tuple>(item)) {
    const py::tuple fields = read_tuple(item, 2, kComponent, "a space of members");
    return {read_as<SpaceKind>(fields[0], kComponent, "a SpaceKind"), -1,
            number(fields[1], "the number of a space's members")};
  }
  if (!py::isinstance<py::int_>(item)) {
    return {read_as<SpaceKind>(item, kComponent, "a SpaceKind or the number of a unique")};
  }
  const int unique = number(item, "the number of a unique as a space");
  CAVS_CHECK(unique >= 0 && unique < static_cast<int>(program.uniques.size()), ErrorKind::kValue,
             "[program] expected the number of one of the program's ", program.uniques.size(),
             " uniques as a space, got ", unique,
             "; declare the unique or number one that there is");
  return {SpaceKind::kUnique, unique};
}

// A kind and its argument, in a program of types also the number of its members.
TableSpec read_table(py::handle item, const Program& program) {
  const bool typed = program.num_types > 0;
  const py::tuple fields = read_tuple(item, typed ? 3 : 2, kComponent, "a table");
  return {read_as<TableKind>(fields[0], kComponent, "the TableKind of a table"),
          number(fields[1], "an integer as the argument of a table"),
          typed ? number(fields[2], "the number of a table's members") : -1};
}

// The number of types, (parents, children) of each list of edges, and sets of members.
void read_types(py::handle item, Program* program) {
  const py::tuple fields = read_tuple(item, 3, kComponent, "types");
  program->num_types = number(fields[0], "the number of types");
  for (const py::handle list : read_items(fields[1], kComponent, "lists of edges")) {
    const py::tuple types = read_tuple(list, 2, kComponent, "a list of edges");
    program->edge_lists.push_back(
        {number(types[0], "the type of the parents"), number(types[1], "the type of children")});
  }
  for (const py::handle members : read_items(fields[2], kComponent, "sets of members")) {
    program->member_sets.push_back(numbers(members, "integers as members"));
  }
}

void read_uniques(const py::tuple& items, Program* program) {
  for (const py::handle item : items) {
    const bool typed = program->num_types > 0;
    const py::tuple fields = read_tuple(item, typed ? 6 : 5, kComponent, "a unique");
    UniqueSpec unique = {text(fields[0], "text as the name of a unique"),
                         numbers(fields[1], "integers as the inputs of a unique"),
                         read_space(fields[2], *program),
                         large(fields[3], "an integer as the rows of a unique"),
                         number(fields[4], "an integer as what a unique is of"),
                         {}};
    unique.members.assign(unique.inputs.size(), -1);
    if (typed) unique.members = numbers(fields[5], "integers as the members of inputs");
    program->uniques.push_back(std::move(unique));
  }
}

ValueSpec read_value(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 8, kComponent, "a value");
  ValueSpec value;
  value.name = text(fields[0], "text as the name of a value");
  value.space = read_space(fields[1], program);
  value.size = large(fields[2], "an integer as the size of a value");
  value.dtype = read_as<DType>(fields[3], kComponent, "the DType of a value");
  value.role = read_as<Role>(fields[4], kComponent, "the Role of a value");
  value.index = number(fields[5], "an integer as the index of a value");
  value.base = number(fields[6], "an integer as the base of a value");
  value.column = large(fields[7], "an integer as the column of a value");
  return value;
}

Instruction read_instruction(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 6, kComponent, "an instruction");
  Instruction instruction;
  instruction.kernel = kernel_named(text(fields[0], "the name of a kernel"));
  instruction.inputs = numbers(fields[1], "integers as the inputs of an instruction");
  instruction.outputs = numbers(fields[2], "integers as the outputs of an instruction");
  for (const py::handle table : read_items(fields[3], kComponent, "tables")) {
    instruction.tables.push_back(read_table(table, program));
  }
  instruction.attributes = read_attributes(instruction.kernel, fields[4]);
  instruction.space = read_space(fields[5], program);
  complete_attributes(program, &instruction);
  return instruction;
}

Segment read_segment(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 3, kComponent, "a segment");
  Segment segment;
  segment.kind = read_as<SegmentKind>(fields[0], kComponent, "the SegmentKind of a segment");
  segment.space = read_space(fields[1], program);
  for (const py::handle instruction : read_items(fields[2], kComponent, "instructions")) {
    segment.instructions.push_back(read_instruction(instruction, program));
  }
  return segment;
}

std::vector<OutputSpec> read_outputs(const py::tuple& items, const Program& program) {
  std::vector<OutputSpec> outputs;
  for (const py::handle item : items) {
    const py::tuple fields = read_tuple(item, 3, kComponent, "an output");
    outputs.push_back({read_space(fields[0], program),
                       read_as<DType>(fields[1], kComponent, "the DType of an output"),
                       read_as<std::vector<py::ssize_t>>(fields[2], kComponent,
                                                         "integers as the shape of an output")});
  }
  return outputs;
}

// The arrays that runs make must have the form of the values that are written to them. An array
// that no value stands for would be given back as it was made.
void check_outputs(const std::vector<OutputSpec>& outputs, const Executable& exe) {
  const Program& program = exe.program;
  std::vector<bool> written(outputs.size(), false);
  for (size_t id = exe.first_value(); id < program.values.size(); ++id) {
    const ValueSpec& value = program.values[id];
    const auto index = static_cast<size_t>(value.index);
    if (value.role != Role::kOutput || index >= outputs.size()) continue;
    const OutputSpec& output = outputs[index];
    written[index] = true;
    int64_t size = 1;
    for (const py::ssize_t dim : output.shape) {
      if (dim < 1 || dim > value.size / size) size = value.size + 1;  // no such shape
      if (size > value.size) break;
      size *= dim;
    }
    CAVS_CHECK(size == value.size && output.dtype == value.dtype, ErrorKind::kValue,
               "[program] expected output ", index, " to have the dtype and ", value.size,
               " elements of '", value.name, "', got others; correct the output");
  }
  const auto missing = std::find(written.begin(), written.end(), false);
  CAVS_CHECK(missing == written.end(), ErrorKind::kValue, "[program] expected a value for each of ",
             outputs.size(), " outputs, got none for output ", missing - written.begin(),
             "; declare the value, or leave the output out");
}

PyProgram make_program(const py::object& dtype, const py::object& values,
                       const py::object& segments, const py::object& uniques,
                       const py::object& saved, const py::object& forward, const py::object& device,
                       const py::object& outputs, const py::object& states, bool streams,
                       const py::object& types, bool hold_states) {
  Program program;
  program.dtype = read_as<DType>(dtype, kComponent, "a DType");
  CAVS_CHECK(program.dtype != DType::kInt32, ErrorKind::kValue,
             "[program] expected a dtype of floats, got int32; compile for float32 or float64");
  program.device = device_named(text(device, "text as the device"));
  program.streams = streams;
  if (!types.is_none()) read_types(types, &program);
  read_uniques(read_items(uniques, kComponent, "uniques"), &program);
  for (const py::handle value : read_items(values, kComponent, "values")) {
    program.values.push_back(read_value(value, program));
  }
  for (const py::handle segment : read_items(segments, kComponent, "segments")) {
    program.segments.push_back(read_segment(segment, program));
  }
  program.saved = numbers(saved, "integers as the saved values");
  program.states = numbers(states, "integers as the states");
  auto specs = std::make_shared<const std::vector<OutputSpec>>(
      read_outputs(read_items(outputs, kComponent, "outputs"), program));
  std::shared_ptr<const Executable> first;
  if (!forward.is_none()) {
    first = read_as<const PyProgram&>(forward, kComponent, "a program as the forward one").exe;
  }
  auto exe = make_executable(std::move(program), std::move(first), hold_states);
  check_outputs(*specs, *exe);
  return {std::move(exe), std::move(specs)};
}

}  // namespace

void bind_program(py::module_& m) {
  py::class_<PyProgram>(m, "Program")
      .def(py::init(&make_program), py::arg("dtype"), py::arg("values"), py::arg("segments"),
           py::arg("uniques"), py::arg("saved"), py::arg("forward") = py::none(),
           py::arg("device") = "cpu", py::arg("outputs") = py::tuple(),
           py::arg("states") = py::tuple(), py::arg("streams") = true,
           py::arg("types") = py::none(), py::arg("hold_states") = false,
           "A space is a SpaceKind or the number of a unique. Attributes are a dictionary of "
           "the kernel's fields. `outputs`: (space, dtype, shape of a row) of each output, so "
           "that runs can make the arrays. `states`: values that parents may gather; runs look "
           "for NaN in them if asked to. `streams`: whether segments may run at the same time "
           "on devices that can. `types`: the number of types, lists of edges and sets of members "
           "that spaces and tables name; None without types. `hold_states`: for a Growth.");
}

}  // namespace cavs
