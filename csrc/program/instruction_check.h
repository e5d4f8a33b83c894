// Helpers with which the kernels' rows state the form that an instruction must have.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "program/kernels.h"

namespace cavs {

class InstructionCheck {
 public:
  InstructionCheck(const Program& given, const Instruction& checked)
      : program(given), instruction(checked) {}

  const Program& program;
  const Instruction& instruction;

  // Throws Error(kValue) that shows the instruction.
  [[noreturn]] void reject(const std::string& expected) const;
  void expect(bool condition, const char* expected) const {
    if (!condition) reject(expected);
  }

  const ValueSpec& in(size_t i) const { return value(instruction.inputs[i]); }
  const ValueSpec& out(size_t i = 0) const { return value(instruction.outputs[i]); }
  bool has_rows(size_t i) const { return in(i).space.kind != SpaceKind::kNone; }
  size_t inputs() const { return instruction.inputs.size(); }
  TableKind table(size_t i) const { return instruction.tables[i].kind; }
  template <class T>
  const T& attributes() const {
    return std::get<T>(instruction.attributes);
  }

  // All operands have the program's dtype, save the input numbered `ids`, which is one int32.
  void floats(size_t ids = SIZE_MAX) const;
  void same_sizes() const;  // of inputs and output

  // Whether the sum goes on from the value in its output. The output is then the last input too.
  bool goes_on() const;

 private:
  const ValueSpec& value(int id) const { return program.values[static_cast<size_t>(id)]; }
  std::string describe(int id) const;
};

}  // namespace cavs
