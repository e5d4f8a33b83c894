// Checks that all kernels share: the number of operands, their types and their tables.
#include "program/instruction_check.h"

#include "base/error.h"
#include "program/access.h"
#include "program/attention_check.h"

namespace cavs {
namespace {

struct Shown {
  std::string text;
  void operator()(const char* name, bool value) { add(name, value ? "true" : "false"); }
  void operator()(const char* name, int64_t value) { add(name, std::to_string(value)); }
  void operator()(const char* name, uint32_t value) { add(name, std::to_string(value)); }
  void operator()(const char* name, double value) { add(name, std::to_string(value)); }
  void operator()(const char* name, const Dims& dims) {
    std::string sizes;
    for (int i = 0; i < dims.rank; ++i) sizes += " " + std::to_string(dims.sizes[i]);
    add(name, "[" + sizes + " ]");
  }
  template <size_t Count>
  void operator()(const char* name, const int64_t (&values)[Count]) {
    add_list(name, values, Count);
  }
  void operator()(const char* name, const std::vector<int64_t>& values) {
    add_list(name, values.data(), values.size());
  }
  void add_list(const char* name, const int64_t* values, size_t count) {
    std::string listed;
    for (size_t i = 0; i < count; ++i) listed += " " + std::to_string(values[i]);
    add(name, "[" + listed + " ]");
  }
  void add(const char* name, const std::string& value) {
    text += std::string(", ") + name + "=" + value;
  }
};

std::string shown(const Attributes& attributes) {
  Shown shown;
  if (const auto* group = std::get_if<Group>(&attributes)) {
    return ", a group of width " + std::to_string(group->width);
  }
  std::visit(
      [&](const auto& each) {
        using T = std::decay_t<decltype(each)>;
        if constexpr (!std::is_same_v<T, Group>) T::fields(each, shown);
      },
      attributes);
  return shown.text;
}

void check_tables(const InstructionCheck& c) {
  const TableRule& rule = c.instruction.kernel->tables;
  for (const TableSpec& table : c.instruction.tables) {
    if (table.kind == TableKind::kNone || table.kind == rule.only) continue;
    c.expect(rule.indices || rule.lists || rule.only != TableKind::kNone,
             "operands without tables");
    c.expect(table.kind != TableKind::kSiblings, "tables of rows (no 'siblings')");
    c.expect(rule.only == TableKind::kNone, "the kernel's own table");
    c.expect(rule.lists || !is_list(table.kind), "tables with one row per row (no row lists)");
    c.expect(rule.indices || is_list(table.kind), "a table of row lists");
  }
  const bool needs = rule.only != TableKind::kNone || (rule.lists && !rule.indices);
  if (!needs) return;
  c.expect(!c.instruction.tables.empty(), "its table");
  for (const TableSpec& table : c.instruction.tables) {
    c.expect(table.kind != TableKind::kNone,
             rule.lists ? "a table of row lists" : "the kernel's own table on every input");
  }
}

}  // namespace

void InstructionCheck::reject(const std::string& expected) const {
  std::string got;
  for (const int id : instruction.inputs) got += describe(id) + " ";
  got += "->";
  for (const int id : instruction.outputs) got += " " + describe(id);
  fail(ErrorKind::kValue, "[program] expected ", expected, " in '", instruction.kernel->name,
       "', got ", got, shown(instruction.attributes), "; correct the instruction");
}

std::string InstructionCheck::describe(int id) const {
  const ValueSpec& it = value(id);
  return "'" + it.name + "' (" + dtype_name(it.dtype) + " x " + std::to_string(it.size) + ")";
}

void InstructionCheck::floats(size_t ids) const {
  for (size_t i = 0; i < inputs(); ++i) {
    const bool integers = in(i).dtype == DType::kInt32;
    expect(integers == (i == ids) && (i != ids || in(i).size == 1),
           "floating-point operands (and one int32 per row as label or id)");
  }
  for (const int id : instruction.outputs) {
    expect(value(id).dtype == program.dtype, "a floating-point output");
  }
}

void InstructionCheck::same_sizes() const {
  for (const int id : instruction.inputs) {
    expect(value(id).size == out().size, "inputs of the output's size");
  }
}

bool InstructionCheck::goes_on() const {
  return sums_rows(instruction) && !instruction.inputs.empty() && !instruction.outputs.empty() &&
         inputs() == instruction.kernel->inputs.least + 1 &&
         instruction.inputs.back() == instruction.outputs[0];
}

void check_instruction(const Program& program, const Instruction& instruction) {
  const InstructionCheck check(program, instruction);
  const Kernel& kernel = *instruction.kernel;
  const bool enough = kernel.inputs.more ? check.inputs() >= kernel.inputs.least
                                         : check.inputs() == kernel.inputs.least;
  check.expect(instruction.attributes.index() == kernel.attributes.index(),
               "the kernel's own attributes");
  const bool group = group_of(instruction) != nullptr;
  const bool one_output = group || is_attention(instruction) || instruction.outputs.size() == 1;
  if (!one_output || !(enough || check.goes_on())) {
    const std::string count = std::to_string(kernel.inputs.least);
    check.reject(count + (kernel.inputs.more ? " or more" : "") + " inputs and " +
                 (group ? "outputs" : "one output"));
  }
  check_tables(check);
  kernel.check(check);
}

}  // namespace cavs
