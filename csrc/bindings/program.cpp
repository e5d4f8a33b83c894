// Programs, read from Python's description of them.
#include "bindings/program.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/read.h"
#include "program/text.h"
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

// A word, or the number of distinct ids.
Space read_space(py::handle item, const Program& program) {
  if (py::isinstance<py::str>(item)) return parse_space(text(item, "a space"));
  const int unique = number(item, "a space as a word or a number");
  CAVS_CHECK(unique >= 0 && unique < static_cast<int>(program.uniques.size()), ErrorKind::kValue,
             "[program] expected the number of one of the program's ", program.uniques.size(),
             " uniques as a space, got ", unique,
             "; declare the unique or number one that there is");
  return {SpaceKind::kUnique, unique};
}

// A word, or a word and its argument.
TableSpec read_table(py::handle item) {
  if (py::isinstance<py::str>(item)) return parse_table(text(item, "a table"));
  const py::tuple fields = read_tuple(item, 2, kComponent, "a table");
  return parse_table(text(fields[0], "the word of a table"),
                     number(fields[1], "an integer as the argument of a table"));
}

void read_uniques(const py::tuple& items, Program* program) {
  for (const py::handle item : items) {
    const py::tuple fields = read_tuple(item, 5, kComponent, "a unique");
    program->uniques.push_back({text(fields[0], "text as the name of a unique"),
                                numbers(fields[1], "integers as the inputs of a unique"),
                                read_space(fields[2], *program),
                                large(fields[3], "an integer as the rows of a unique"),
                                number(fields[4], "an integer as what a unique is of")});
  }
}

ValueSpec read_value(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 9, kComponent, "a value");
  ValueSpec value;
  value.name = text(fields[0], "text as the name of a value");
  value.space = read_space(fields[1], program);
  value.size = large(fields[2], "an integer as the size of a value");
  value.dtype = parse_value_dtype(text(fields[3], "text as the dtype of a value"), program.dtype);
  value.role = parse_role(text(fields[4], "text as the role of a value"));
  value.index = number(fields[5], "an integer as the index of a value");
  value.base = number(fields[6], "an integer as the base of a value");
  value.column = large(fields[7], "an integer as the column of a value");
  value.constant = read_as<double>(fields[8], kComponent, "a number as the constant of a value");
  return value;
}

Instruction read_instruction(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 7, kComponent, "an instruction");
  Instruction instruction;
  instruction.kernel = text(fields[0], "the name of a kernel");
  instruction.inputs = numbers(fields[1], "integers as the inputs of an instruction");
  instruction.outputs = numbers(fields[2], "integers as the outputs of an instruction");
  for (const py::handle table : read_items(fields[3], kComponent, "tables")) {
    instruction.tables.push_back(read_table(table));
  }
  instruction.ints = read_as<std::vector<int64_t>>(fields[4], kComponent,
                                                   "integers as attributes of an instruction");
  instruction.floats = read_as<std::vector<double>>(fields[5], kComponent,
                                                    "numbers as attributes of an instruction");
  instruction.space = read_space(fields[6], program);
  return instruction;
}

Segment read_segment(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 3, kComponent, "a segment");
  Segment segment;
  segment.kind = parse_segment_kind(text(fields[0], "text as the kind of a segment"));
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
    outputs.push_back(
        {read_space(fields[0], program),
         parse_value_dtype(text(fields[1], "text as the dtype of an output"), program.dtype),
         read_as<std::vector<py::ssize_t>>(fields[2], kComponent,
                                           "integers as the shape of an output")});
  }
  return outputs;
}

// The arrays that runs make must be as the values that are written to them.
void check_outputs(const std::vector<OutputSpec>& outputs, const Executable& exe) {
  const Program& program = exe.program;
  const size_t own = exe.forward ? exe.forward->program.values.size() : 0;
  for (size_t id = own; id < program.values.size(); ++id) {
    const ValueSpec& value = program.values[id];
    const auto index = static_cast<size_t>(value.index);
    if (value.role != Role::kOutput || index >= outputs.size()) continue;
    const OutputSpec& output = outputs[index];
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
}

PyProgram make_program(const py::object& dtype, const py::object& values,
                       const py::object& segments, const py::object& uniques,
                       const py::object& saved, const py::object& forward, const py::object& device,
                       const py::object& outputs, const py::object& states) {
  Program program;
  program.dtype = parse_dtype(text(dtype, "text as the dtype"));
  program.device = device_named(text(device, "text as the device"));
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
  auto exe = make_executable(std::move(program), std::move(first));
  check_outputs(*specs, *exe);
  return {std::move(exe), std::move(specs)};
}

}  // namespace

void bind_program(py::module_& m) {
  py::class_<PyProgram>(m, "Program")
      .def(py::init(&make_program), py::arg("dtype"), py::arg("values"), py::arg("segments"),
           py::arg("uniques"), py::arg("saved"), py::arg("forward") = py::none(),
           py::arg("device") = "cpu", py::arg("outputs") = py::tuple(),
           py::arg("states") = py::tuple(),
           "`outputs`: (space, dtype, shape of a row) of each, for runs to make the arrays; "
           "`states`: values that parents may gather, in which runs look for NaN if asked to.");
}

}  // namespace cavs
