// Attention over children on the CPU: where children stand, and its kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/attention/isa.h"
#include "graph/schedule.h"
#include "program/attention_check.h"

namespace cavs {

// Where vertices and their children by a list of edges stand in the user's order, see
// Schedule::runs. A graph is a run where the children of each vertex follow each other, none that
// nobody has stands between those that somebody has, and lists are long enough for that to matter.
struct AttentionPlaces {
  const Schedule::GraphVertices* parents = nullptr;
  const std::vector<int32_t>*child_ptr = nullptr, *child = nullptr;  // [graph + 1], [place]
  std::vector<int32_t> first;   // [vertex row] place of the first child, in its graph; 0 of none
  std::vector<int32_t> is_run;  // [graph]
  bool all_runs = true;         // then nobody needs the lists of children
};

// Made when they are first asked for, and kept with the schedule.
const AttentionPlaces& attention_places(const Schedule& schedule, int list);

// That of the instruction set at hand.
const AttentionIsa& attention_isa();

// The memory that a thread needs for the attentions of a program over a batch.
int64_t attention_bytes(const Program& program, const Schedule& schedule);

}  // namespace cavs
