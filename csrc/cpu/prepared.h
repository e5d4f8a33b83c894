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
#include "graph/schedule.h"
#include "runtime/backend.h"

namespace cavs {

struct PreparedCall {
  const Instruction* instruction = nullptr;
  KernelFunction function = nullptr;
  std::shared_ptr<const GroupProgram> group;  // of an elementwise group
  int edges = -1;   // the list of edges, of a segment's vertices, that it runs over; -1: vertices
  int weight = -1;  // number of its WeightUse
  int weight_operand = -1;
  const std::vector<StateWrite>* state_writes = nullptr;
};

struct PreparedSegment {
  // A list of edges whose instructions run along.
  struct Edges {
    int list = 0;
    double ns = 0;  // rough cost of one edge
  };

  int call_begin = 0, call_end = 0;
  std::vector<int> by_type;  // of the first of segments that take turns: by type the segment with
                             // its batches, -1: none has
  bool inner = false;        // whether it runs inner vertices alone
  std::vector<Edges> edges;
  double row_ns = 0;  // rough cost of one row, for the choice between one thread and all

  // Of rows begin..end - 1 with their edges; of levels and vertices.
  double cost_ns(const Schedule& schedule, int64_t begin, int64_t end) const {
    double ns = static_cast<double>(end - begin) * row_ns;
    for (const Edges& each : edges) {
      const auto& ptr = schedule.edges[static_cast<size_t>(each.list)].ptr;
      ns += (ptr[end] - ptr[begin]) * each.ns;
    }
    return ns;
  }
};

struct CpuProgram final : Prepared {
  ExecutionOptions options;
  std::vector<PreparedSegment> segments;
  std::vector<PreparedCall> calls;          // segment by segment
  size_t num_operands = 0, num_tables = 0;  // of all calls
  Locals kept, dropped;                     // with and without keeping values that backward reads
  WeightUses weights;
  std::unique_ptr<WeightStore> packed;
  int64_t scratch_bytes = kScratchBytes;  // of a thread: the most that a call needs

  const Locals& locals(bool keep) const { return keep ? kept : dropped; }
};

std::shared_ptr<const CpuProgram> prepare_for_cpu(const Executable& exe);

// The prepared program of an executable that was made for the CPU.
const CpuProgram& cpu_program(const Executable& exe);

}  // namespace cavs
