// An elementwise group: a short program over scalars, which runs for each element of a row. It
// knows no device; each device prints a group in its own way (interpreter, machine code, source).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace cavs {

// Which rows of an input row r of a group reads.
enum class Read : uint8_t {
  kRow,      // row r
  kIndexed,  // row index[r], zeros for -1
  kListSum,  // the sum of the rows that a list names for r
  kShared,   // the one row of a value without rows
};

// The input itself is the operand of the same number.
struct GroupInput {
  Read read = Read::kRow;
  bool narrow = false;  // one element, for all columns
};

// A scalar operation, and the numbers of the values that it takes; -1 where it takes fewer.
struct ScalarCall {
  int op = -1;  // see scalar_opcode
  std::array<int, 3> arguments = {-1, -1, -1};
};

// Each value is made once. Inputs are numbered first, then constants, then calls in order.
struct Group {
  int64_t width = 1;  // elements of a row
  std::vector<GroupInput> inputs;
  std::vector<double> constants;
  std::vector<ScalarCall> calls;
  std::vector<int> outputs;  // values of calls

  int first_call() const { return static_cast<int>(inputs.size() + constants.size()); }
};

// The expectation that a group fails, or null where the group is right.
const char* wrong_group(const Group& group);

// Number of a scalar operation, or -1. See scalar_ops.h.
int scalar_opcode(const std::string& name);
int scalar_op_arity(int opcode);  // 1, 2 or 3; -1 for a number that is no operation's
int scalar_op_flops(int opcode);  // of an element; of an operation that there is
const std::vector<std::string>& scalar_op_names();

}  // namespace cavs
