// What a program knows of the kernels: one row for each, whatever the device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program/program.h"

namespace cavs {

class InstructionCheck;

// How many inputs a kernel has. A sum over rows may have one more, its own output: it goes on from
// what stands there.
struct InputCount {
  size_t least;
  bool more = false;
};

// Which inputs are read through tables: each, if any.
struct TableRule {
  bool indices = false;               // one row, or none, for each row
  bool lists = false;                 // any number of rows together
  TableKind only = TableKind::kNone;  // this table alone, on every input or without inputs
};

enum class Writes : uint8_t {
  kRows,       // row r of its space
  kScattered,  // the row that the table names, where there is one; it reads row r
  kSums,       // no rows: sums over all, whose elements threads share
};

struct Kernel {
  const char* name;
  InputCount inputs;
  TableRule tables;
  Writes writes;
  Attributes attributes;                   // of which type
  double (*flops)(const Instruction&);     // of a row; null where moving elements is all
  void (*check)(const InstructionCheck&);  // operands and attributes, beyond the above
};

const std::vector<Kernel>& kernels();
// The row of this name. Throws Error(kValue) where there is none.
KernelId kernel_named(const std::string& name);

// What a row costs, whatever the device: FLOPs beyond moving its elements, and elements that are
// read and written, those of operands without rows left out.
struct RowCost {
  double flops = 0;
  double elements = 0;
};

RowCost row_cost(const Program& program, const Instruction& instruction);
double row_flops(const Instruction& instruction);

// Throws Error(kValue) where operands, tables or attributes are not as the kernel needs them:
// kernels trust them and do not look again.
void check_instruction(const Program& program, const Instruction& instruction);

// Sums over all rows: kernels of global segments.
bool sums_rows(const Instruction& instruction);

}  // namespace cavs
