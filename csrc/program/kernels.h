// The table of kernels that programs know: one row for each kernel, the same on every device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program/program.h"

namespace cavs {

class InstructionCheck;

// How many inputs a kernel has. A sum over rows may have one more input, its own output; the sum
// then goes on from the value there.
struct InputCount {
  size_t least;
  bool more = false;
};

// Which tables inputs may be read through. The rule holds for every input.
struct TableRule {
  bool indices = false;               // one row, or none, for each row
  bool lists = false;                 // any number of rows together
  TableKind only = TableKind::kNone;  // this table alone, on every input or without inputs
};

enum class Writes : uint8_t {
  kRows,       // row r of its space
  kScattered,  // the row that the table names, where there is one; it reads row r
  kSums,       // sums over all rows; threads share the elements of the sum
  kGraphs,     // rows of all graphs, each of which it needs as a whole; threads share the graphs
};

struct Kernel {
  const char* name;
  InputCount inputs;
  TableRule tables;
  Writes writes;
  Attributes attributes;  // a default value, which gives the type
  // Of a row, given its operands; null where the kernel only moves elements.
  double (*flops)(const Program&, const Instruction&);
  void (*check)(const InstructionCheck&);  // operands and attributes, beyond the above
};

const std::vector<Kernel>& kernels();
// The row of this name. Throws Error(kValue) where there is none.
KernelId kernel_named(const std::string& name);

// The work of a row on any device, as the profile of a run shows it: floating-point operations, and
// bytes that are read and written. Operands without rows do not count. The FLOPs of an operation of
// F, before it is lowered to a kernel, stand in its row of cavs/core/ops; a test holds the two
// together.
struct RowCost {
  double flops = 0;
  double bytes = 0;
};

RowCost row_cost(const Program& program, const Instruction& instruction);
double product_flops(const MatmulAttributes& product);

// Throws Error(kValue) where operands, tables or attributes are not as the kernel needs them:
// kernels trust them and do not look again.
void check_instruction(const Program& program, const Instruction& instruction);

// Whether the instruction sums over all rows, or goes over graphs. It then takes all rows at once,
// in a segment that sums over rows.
bool sums_rows(const Instruction& instruction);
bool goes_over_graphs(const Instruction& instruction);

}  // namespace cavs
