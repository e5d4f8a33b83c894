// G: the input graphs of one minibatch as flat arrays, in the user's order.
#pragma once

#include <cstdint>
#include <vector>

namespace cavs {

// Vertices are numbered through the batch (graph 0's, then graph 1's, ...), edges in the order of
// the child lists. A hole in a list, where the k-th child is missing, is no edge: it only moves the
// slots of the children behind it. Immutable once made. One input graph is a batch of one.
struct GraphBatch {
  std::vector<int32_t> ptr{0};        // [num_graphs + 1] first vertex of each graph
  std::vector<int32_t> edge_ptr{0};   // [num_graphs + 1] first edge of each graph
  std::vector<int32_t> child_ptr{0};  // [num_vertices + 1] first edge of each vertex
  std::vector<int32_t> children;      // [num_edges] child's number in the batch
  std::vector<int32_t> slots;  // [num_edges] place in the list; empty where no list has holes
  std::vector<int32_t> types;  // [num_vertices] see type_names.h; empty where vertices have none

  int64_t num_graphs() const { return static_cast<int64_t>(ptr.size()) - 1; }
  int64_t num_vertices() const { return ptr.back(); }
  int64_t num_edges() const { return static_cast<int64_t>(children.size()); }
};

// Makes a batch from the graphs' arrays laid end to end: `ptr` and `child_ptr` are as above, and
// `children` are numbered within each graph; -1 is a hole, which `child_ptr` counts. Checks the
// lengths, that offsets start at 0 and never decrease, that children exist, and that all numbers
// fit 32 bits. Error(kGraph) names graph and vertex. vertex_levels finds cycles.
GraphBatch make_graph_batch(const std::vector<int64_t>& ptr, const std::vector<int64_t>& child_ptr,
                            const std::vector<int64_t>& children);

// Gives the children of a batch without holes these slots, one for each edge, which must ascend
// within a list.
void set_slots(const std::vector<int64_t>& slots, GraphBatch* batch);

// Gives the vertices their types, one for each.
void set_types(std::vector<int32_t> types, GraphBatch* batch);

// [num_edges] the slot of each edge.
std::vector<int32_t> child_slots(const GraphBatch& batch);

// The order of a vertex's children where only their parents are known: by their numbers, or by the
// least number of a leaf below each child (a leaf counts as below itself).
enum class SiblingOrder { kNumber, kLeaf };

// One graph from the parent of each vertex (-1: a root).
GraphBatch graph_from_parents(const std::vector<int64_t>& parents,
                              SiblingOrder order = SiblingOrder::kNumber);

// One graph from edges; a vertex's children stand in the order of the edges given.
GraphBatch graph_from_edges(int64_t num_vertices, const std::vector<int64_t>& children,
                            const std::vector<int64_t>& parents);

// The graphs of all batches, one after the other. The batches are valid, so nothing is checked
// again.
GraphBatch concatenate(const std::vector<const GraphBatch*>& batches);

// Turns each edge round and keeps the numbers of the vertices. A vertex's new children (its
// parents) stand in the order of the edges, so parallel edges stay parallel. No list has holes.
GraphBatch reverse(const GraphBatch& batch);

// [num_vertices] 1 + the greatest level of a vertex's children, 0 without children. Raises
// Error(kGraph) that names graph and vertices on a cycle. No recursion.
std::vector<int32_t> vertex_levels(const GraphBatch& batch);

// An order of the vertices in which children come before their parents; empty where that is the
// user's order, as in most graphs. The same error.
std::vector<int32_t> children_first(const GraphBatch& batch);

}  // namespace cavs
