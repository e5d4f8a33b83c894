// Attention over children on the CPU: where children stand, and its kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/attention/isa.h"
#include "graph/schedule.h"
#include "program/attention_check.h"

namespace cavs {

// Where the children of a list of edges stand in the user's order: among the vertices of the type
// of children, or among all where these are of any type. A graph is a run where the children of
// each vertex follow each other, none that nobody has stands between those that somebody has, and
// lists are long enough for that to matter.
struct ChildRuns {
  const Schedule::GraphVertices* parents = nullptr;
  const Schedule::GraphVertices* children = nullptr;
  std::vector<int32_t> first;   // [vertex row] place of the first child, in its graph; 0 of none
  std::vector<int32_t> is_run;  // [graph]
};

// Made when it is first asked for, and kept with the schedule.
const ChildRuns& child_runs(const Schedule& schedule, int list);

// That of the instruction set at hand.
const AttentionIsa& attention_isa();

// The memory that a thread needs for the attentions of a program over a batch.
int64_t attention_bytes(const Program& program, const Schedule& schedule);

}  // namespace cavs
