// Graphs that grow level by level: the vertices so far, and the schedule of those opened last.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/batching.h"
#include "graph/schedule.h"
#include "graph/state_rows.h"

namespace cavs {

// Vertices to open, in the user's order.
struct NewVertices {
  std::vector<int32_t> types;     // by the order of types; empty in a function without types
  std::vector<int32_t> ptr;       // [vertex + 1] CSR: its children,
  std::vector<int32_t> children;  //   numbers of vertices of earlier levels, or -1 for a hole
  std::vector<int32_t> graphs;    // empty: those of the first children
  std::vector<int32_t> forget;    // vertices of earlier levels that no later level gathers from

  int64_t size() const { return static_cast<int64_t>(ptr.size()) - 1; }
};

// What the function that computes the vertices reads, and how far graphs may grow.
struct GrowthRules {
  std::optional<TypeOrder> order;  // of a function of types
  std::vector<ChildRead> reads;    // of a function of types
  bool extra_children = false;     // whether a vertex may have children that nothing reads
  int64_t slots_read = -1;   // without types: how many first children are read; -1: any number
  int64_t last_read = 0;     //   and how many last ones
  int64_t max_vertices = 0;  // of a graph
};

// Vertices are numbered as they are opened, through all graphs. In memory their states stand from
// the last level to the first, so that the new rows of a level are rows 0, 1, ... of arrays that
// grow at their beginning: the schedule of a level numbers its new vertices so, and their children
// are rows behind. Their structure is kept; rows of states of what is forgotten are given back.
class GrownGraphs {
 public:
  GrownGraphs(int64_t num_graphs, GrowthRules rules);

  // Checks the vertices, numbers them, and gives their schedule: all of them are one step. Throws
  // Error(kGraph) that names graph and vertex, and changes nothing then.
  Schedule open(const NewVertices& vertices);

  int64_t num_graphs() const { return static_cast<int64_t>(sizes_.size()); }
  int64_t num_vertices() const { return static_cast<int64_t>(graph_.size()); }
  const StateRows& states() const { return states_; }
  // Whether the level that was opened last moves the states that were there; see StateRows::extend.
  bool moves_states() const { return moves_states_; }

  // [vertex] by number.
  const std::vector<int32_t>& graph() const { return graph_; }
  const std::vector<int32_t>& ptr() const { return ptr_; }  // [vertex + 1] CSR, without holes:
  const std::vector<int32_t>& children() const { return children_; }
  const std::vector<int32_t>& slots() const { return slots_; }  // places among the children

 private:
  struct Level;

  void check_form(const NewVertices& vertices) const;
  void check_children(const NewVertices& vertices) const;
  void check_remembered(const NewVertices& vertices, const std::vector<int32_t>& graphs) const;
  std::vector<int32_t> graphs_of(const NewVertices& vertices) const;
  void check_graphs(const NewVertices& vertices, const std::vector<int32_t>& graphs) const;
  void check_slots(const NewVertices& vertices, const std::vector<int32_t>& graphs) const;
  void check_reads(const NewVertices& vertices, const std::vector<int32_t>& graphs) const;
  void check_sizes(const std::vector<int32_t>& graphs) const;
  void append(const NewVertices& vertices, const std::vector<int32_t>& graphs, Level* level);
  void number_rows(Level* level, Schedule* schedule);
  void list_edges(const Level& level, const TypeOrder::Edges* list, Schedule* schedule) const;

  const GrowthRules rules_;
  std::vector<int32_t> sizes_, edges_;  // [graph] vertices and edges so far
  std::vector<int32_t> graph_, types_, ptr_ = {0}, children_, slots_;
  StateRows states_;
  bool moves_states_ = false;
};

}  // namespace cavs
