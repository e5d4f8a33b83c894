// Attention over children on the CPU: where children stand, and its kernels.
#pragma once

#include <array>
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
  int64_t most_parents = 0, most_edges = 0;  // of a graph
};

// The numbers of edges within their graphs, by which dropout draws: see kEdgeTable. No list has an
// entry for each edge where none is there anyway.
struct AttentionEdges {
  std::vector<int32_t> vertex, to_edge;        // [place], [vertex row]
  const std::vector<int32_t>* edge = nullptr;  // [edge row], in the place of these
  std::array<int32_t, 2> lines = {};           // of memory
};

// Made when they are first asked for, and kept with the schedule.
const AttentionPlaces& attention_places(const Schedule& schedule, int list);

const AttentionEdges& attention_edges(const Schedule& schedule, int list);

// That of the instruction set at hand.
const AttentionIsa& attention_isa();

// The memory that a thread needs for the attentions of a program over a batch.
int64_t attention_bytes(const Program& program, const Schedule& schedule);

}  // namespace cavs
