// A program as the CPU prepares it once: its calls with kernels and code, and estimates of their
// cost.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/chunks.h"
#include "cpu/groups/group_program.h"
#include "cpu/kernel.h"
#include "cpu/options.h"
#include "cpu/weights.h"
#include "runtime/backend.h"

namespace cavs {

struct PreparedCall {
  const Instruction* instruction = nullptr;
  KernelFunction function = nullptr;
  std::shared_ptr<const GroupProgram> group;  // of an elementwise group
  bool edges = false;                         // over the edges of a segment's vertices
  int weight = -1;                            // number of its WeightUse
  int weight_operand = -1;
  const std::vector<StateWrite>* state_writes = nullptr;
};

struct PreparedSegment {
  int call_begin = 0, call_end = 0;
  bool has_edges = false;  // edge instructions run along
  double row_ns = 0;       // rough cost of one row, for the choice between one thread and all
  double edge_ns = 0;

  double cost_ns(int64_t rows, int64_t edges) const { return rows * row_ns + edges * edge_ns; }
};

struct CpuProgram final : Prepared {
  ExecutionOptions options;
  std::vector<PreparedSegment> segments;
  std::vector<PreparedCall> calls;          // segment by segment
  size_t num_operands = 0, num_tables = 0;  // of all calls
  Locals kept, dropped;                     // with and without keeping values that backward reads
  WeightUses weights;
  std::unique_ptr<WeightStore> packed;

  const Locals& locals(bool keep) const { return keep ? kept : dropped; }
};

std::shared_ptr<const CpuProgram> prepare_for_cpu(const Executable& exe);

// The prepared program of an executable that was made for the CPU.
const CpuProgram& cpu_program(const Executable& exe);

}  // namespace cavs
