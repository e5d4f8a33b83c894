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
#include "program/text.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::tuple read_tuple(py::handle item, size_t length, const char* what) {
  CAVS_CHECK(py::isinstance<py::tuple>(item) && py::len(item) == length, ErrorKind::kValue,
             "[program] expected a tuple of ", length, " as ", what, ", got ",
             py::repr(item).cast<std::string>(), "; pass one of that form");
  return py::reinterpret_borrow<py::tuple>(item);
}

// A word, or the number of distinct ids.
Space read_space(py::handle item, const Program& program) {
  if (py::isinstance<py::str>(item)) return parse_space(item.cast<std::string>());
  const int unique = item.cast<int>();
  CAVS_CHECK(unique >= 0 && unique < static_cast<int>(program.uniques.size()), ErrorKind::kValue,
             "[program] expected the number of one of the program's ", program.uniques.size(),
             " uniques as a space, got ", unique,
             "; declare the unique or number one that there is");
  return {SpaceKind::kUnique, unique};
}

// A word, or a word and its argument.
TableSpec read_table(py::handle item) {
  if (py::isinstance<py::str>(item)) return parse_table(item.cast<std::string>());
  const py::tuple fields = read_tuple(item, 2, "a table");
  return parse_table(fields[0].cast<std::string>(), fields[1].cast<int>());
}

void read_uniques(const py::sequence& items, Program* program) {
  for (const py::handle item : items) {
    const py::tuple fields = read_tuple(item, 5, "a unique");
    program->uniques.push_back({fields[0].cast<std::string>(), fields[1].cast<std::vector<int>>(),
                                read_space(fields[2], *program), fields[3].cast<int64_t>(),
                                fields[4].cast<int>()});
  }
}

ValueSpec read_value(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 9, "a value");
  ValueSpec value;
  value.name = fields[0].cast<std::string>();
  value.space = read_space(fields[1], program);
  value.size = fields[2].cast<int64_t>();
  value.dtype = parse_value_dtype(fields[3].cast<std::string>(), program.dtype);
  value.role = parse_role(fields[4].cast<std::string>());
  value.index = fields[5].cast<int>();
  value.base = fields[6].cast<int>();
  value.column = fields[7].cast<int64_t>();
  value.constant = fields[8].cast<double>();
  return value;
}

Instruction read_instruction(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 7, "an instruction");
  Instruction instruction;
  instruction.kernel = fields[0].cast<std::string>();
  instruction.inputs = fields[1].cast<std::vector<int>>();
  instruction.outputs = fields[2].cast<std::vector<int>>();
  for (const py::handle table : fields[3]) instruction.tables.push_back(read_table(table));
  instruction.ints = fields[4].cast<std::vector<int64_t>>();
  instruction.floats = fields[5].cast<std::vector<double>>();
  instruction.space = read_space(fields[6], program);
  return instruction;
}

Segment read_segment(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 3, "a segment");
  Segment segment;
  segment.kind = parse_segment_kind(fields[0].cast<std::string>());
  segment.space = read_space(fields[1], program);
  for (const py::handle instruction : fields[2]) {
    segment.instructions.push_back(read_instruction(instruction, program));
  }
  return segment;
}

std::vector<OutputSpec> read_outputs(const py::sequence& items, const Program& program) {
  std::vector<OutputSpec> outputs;
  for (const py::handle item : items) {
    const py::tuple fields = read_tuple(item, 3, "an output");
    outputs.push_back({read_space(fields[0], program),
                       parse_value_dtype(fields[1].cast<std::string>(), program.dtype),
                       fields[2].cast<std::vector<py::ssize_t>>()});
  }
  return outputs;
}

PyProgram make_program(const std::string& dtype, const py::sequence& values,
                       const py::sequence& segments, const py::sequence& uniques,
                       std::vector<int> saved, const PyProgram* forward, const std::string& device,
                       const py::sequence& outputs, std::vector<int> states) {
  Program program;
  program.dtype = parse_dtype(dtype);
  program.device = parse_device(device);
  read_uniques(uniques, &program);
  for (const py::handle value : values) program.values.push_back(read_value(value, program));
  for (const py::handle segment : segments) {
    program.segments.push_back(read_segment(segment, program));
  }
  program.saved = std::move(saved);
  program.states = std::move(states);
  auto specs = std::make_shared<const std::vector<OutputSpec>>(read_outputs(outputs, program));
  return {make_executable(std::move(program), forward != nullptr ? forward->exe : nullptr),
          std::move(specs)};
}

}  // namespace

void bind_program(py::module_& m) {
  py::class_<PyProgram>(m, "Program")
      .def(py::init(&make_program), py::arg("dtype"), py::arg("values"), py::arg("segments"),
           py::arg("uniques"), py::arg("saved"), py::arg("forward").none(true) = py::none(),
           py::arg("device") = "cpu", py::arg("outputs") = py::tuple(),
           py::arg("states") = std::vector<int>(),
           "`outputs`: (space, dtype, shape of a row) of each, for runs to make the arrays; "
           "`states`: values that parents may gather, in which runs look for NaN if asked to.");
}

}  // namespace cavs
