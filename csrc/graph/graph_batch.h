// G: the input graphs of one minibatch as flat arrays, in the user's order.
#pragma once

#include <cstdint>
#include <vector>

namespace cavs {

// Vertices are numbered through the batch (graph 0's, then graph 1's, ...), edges in the order of the
// child lists. Immutable once made.
struct GraphBatch {
  std::vector<int32_t> ptr;        // [num_graphs + 1] first vertex of each graph
  std::vector<int32_t> edge_ptr;   // [num_graphs + 1] first edge of each graph
  std::vector<int32_t> child_ptr;  // [num_vertices + 1] first edge of each vertex
  std::vector<int32_t> children;   // [num_edges] child's number in the batch

  int64_t num_graphs() const { return static_cast<int64_t>(ptr.size()) - 1; }
  int64_t num_vertices() const { return ptr.back(); }
  int64_t num_edges() const { return static_cast<int64_t>(children.size()); }
};

}  // namespace cavs
