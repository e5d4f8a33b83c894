// The order in which a run goes over the vertices of a batch: they are renumbered level by level.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/device.h"
#include "graph/graph_batch.h"

namespace cavs {

enum class Policy { kBatching, kSerial };

// "batching" or "serial"; Error(kValue) otherwise.
Policy policy_from_name(const std::string& name);

// Lists for each vertex the vertices that it is a child of, once for each edge: CSR, edges in
// ascending order.
struct ParentRows {
  std::vector<int32_t> ptr;   // [vertex row + 1]
  std::vector<int32_t> row;   // vertex row of the parent
  std::vector<int32_t> slot;  // position among its children
};

// Vertex rows stand level by level (a level is the paper's batching task V_t: vertices that are
// activated together), so the rows of a level are contiguous. Within a level they keep the user's
// order. Edge rows follow their parent vertex, so the edges of a level are contiguous too.
// Immutable once made; "row" is the new number.
struct Schedule {
  Schedule();
  Schedule(Schedule&&) noexcept;
  Schedule& operator=(Schedule&&) noexcept;
  ~Schedule();

  int64_t num_graphs = 0, num_vertices = 0, num_edges = 0, max_arity = 0;
  int64_t num_slots = 0;   // 1 + the greatest slot of a child: max_arity, or more with holes
  bool has_holes = false;  // some child's slot is not its place among the edges of its parent
  int64_t num_leaves = 0;  // vertices without children: the first rows; -1 where they are not first
  std::vector<int32_t> level_ptr;       // [num_levels + 1] first vertex row of each level
  std::vector<int32_t> level_edge_ptr;  // [num_levels + 1] first edge row of each level

  std::vector<int32_t> vertex_order;  // [vertex row] user's vertex
  std::vector<int32_t> vertex_row;    // [user's vertex] vertex row
  std::vector<int32_t> edge_order;    // [edge row] user's edge
  std::vector<int32_t> child;         // [edge row] vertex row of the child
  std::vector<int32_t> parent;        // [edge row] vertex row of the parent
  std::vector<int32_t> edge_slot;     // [edge row] slot: place among the parent's children
  std::vector<int32_t> child_ptr;     // [vertex row + 1] CSR: edge rows of each vertex (contiguous)
  std::vector<int32_t> out_ptr;       // [vertex row + 1] CSR: edge rows where each vertex is child,
  std::vector<int32_t> out_edge;      //   ascending
  std::vector<int32_t> graph;         // [vertex row] graph
  std::vector<int32_t> local;         // [vertex row] index within its graph
  std::vector<int32_t> edge_graph;    // [edge row] graph
  std::vector<int32_t> edge_local;    // [edge row] index within its graph's edges
  std::vector<int32_t> graph_ptr;     // [graph + 1] CSR: vertex rows of each graph,
  std::vector<int32_t> graph_vertex;  //   in the user's order

  int64_t num_levels() const { return static_cast<int64_t>(level_ptr.size()) - 1; }

  // [vertex row] vertex row of the k-th child, or -1. The table is made on first use and kept; any
  // number of threads may ask at once.
  const std::vector<int32_t>& slot(int k) const;

  // The parents by all edges (slots 0), or by the edges at the first `slots` slots, with their
  // slots. Made on first use and kept, as slot(k) is.
  const ParentRows& parents(int slots) const;

  // What a device keeps of the schedule, or of batches that have it, as long as the schedule lives.
  class Mirror {
   public:
    virtual ~Mirror() = default;
  };
  // The mirror of a device; `make` makes it when it is first asked for. Any number of threads may
  // ask at once.
  Mirror& mirror(const Device& device, std::unique_ptr<Mirror> (*make)()) const;

 private:
  struct Cache;
  std::unique_ptr<Cache> cache_;
};

// Batching activates a vertex when its last child is done, so its level is 1 + the greatest level
// of its children, 0 without children. Serial makes each vertex a level of its own: graph by graph,
// and within a graph by increasing batching level. Raises Error(kGraph) that names graph and
// vertices on a cycle. No recursion.
Schedule make_schedule(const GraphBatch& batch, Policy policy);

}  // namespace cavs
