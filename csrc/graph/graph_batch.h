// G: the input graphs of one minibatch as flat arrays, in the user's order.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace cavs {

// Vertices are numbered through the batch (graph 0's, then graph 1's, ...), edges in the order of
// the child lists. A hole in a list, where the k-th child is missing, is no edge: it only moves the
// slots of the children behind it. Immutable once made. One input graph is a batch of one.
//
// Lists may be runs: vertex v has the children first[v], first[v] + 1, ..., as many as child_ptr
// says. Then no array has an entry for each edge, unless somebody asks for children(). In a graph
// with runs all children are numbered below their parents, or all above them.
struct GraphBatch {
  std::vector<int32_t> ptr{0};        // [num_graphs + 1] first vertex of each graph
  std::vector<int32_t> edge_ptr{0};   // [num_graphs + 1] first edge of each graph
  std::vector<int32_t> child_ptr{0};  // [num_vertices + 1] first edge of each vertex
  std::vector<int32_t>
      lists;  // [num_edges] child's number in the batch; empty where lists are runs
  std::vector<int32_t> first;  // [num_vertices] of a run, its first child's number in the batch, or
                               // the graph's first vertex without children; empty where `lists` is
                               // what says the children
  std::vector<int32_t> slots;  // [num_edges] place in the list; empty where no list has holes
  std::vector<int32_t> types;  // [num_vertices] see type_names.h; empty where vertices have none

  int64_t num_graphs() const { return static_cast<int64_t>(ptr.size()) - 1; }
  int64_t num_vertices() const { return ptr.back(); }
  int64_t num_edges() const { return child_ptr.back(); }
  bool has_runs() const { return !first.empty(); }
  // [num_edges] child's number in the batch. Runs are written out when they are first asked for,
  // and kept; any number of threads may ask at once.
  const std::vector<int32_t>& children() const;

 private:
  friend void set_runs(std::vector<int32_t> first, GraphBatch* batch);
  struct WrittenOut;
  std::shared_ptr<WrittenOut> written_out_;  // of runs
};

// Makes a batch's lists runs that begin at these vertices.
void set_runs(std::vector<int32_t> first, GraphBatch* batch);

// Makes a batch from the graphs' arrays laid end to end: `ptr` and `child_ptr` are as above, and
// `children` are numbered within each graph; -1 is a hole, which `child_ptr` counts. Checks the
// lengths, that offsets start at 0 and never decrease, that children exist, and that all numbers
// fit 32 bits. Error(kGraph) names graph and vertex. vertex_levels finds cycles.
GraphBatch make_graph_batch(const std::vector<int64_t>& ptr, const std::vector<int64_t>& child_ptr,
                            const std::vector<int64_t>& children);

// Makes a batch whose vertices have runs of count[v] children from first[v] on, counted within each
// graph; `ptr` is as above. Checks the lengths, that runs lie within their graph, below their
// vertex or, as long as all of the graph do so, above it, and that all numbers fit 32 bits.
// Error(kGraph) names graph and vertex.
GraphBatch make_run_batch(const std::vector<int64_t>& ptr, const std::vector<int64_t>& first,
                          const std::vector<int64_t>& count);

// One graph of `memory` leaves and `length` vertices behind them, each of which has as children the
// last `window` vertices before it, leaves of the memory among them, or all with a window of -1.
GraphBatch causal_chain(int64_t length, int64_t window, int64_t memory);

// Whether both have the same graphs, in whichever way they hold their lists.
bool same_graphs(const GraphBatch& a, const GraphBatch& b);

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
// again. Where one has runs, the result has, if all lists of the others are consecutive too; else
// all are written out.
GraphBatch concatenate(const std::vector<const GraphBatch*>& batches);

// Turns each edge round and keeps the numbers of the vertices. A vertex's new children (its
// parents) stand in the order of the edges, so parallel edges stay parallel. No list has holes.
// Runs stay runs where all new lists are runs, as those of windows that move on are.
GraphBatch reverse(const GraphBatch& batch);

// [num_vertices] 1 + the greatest level of a vertex's children, 0 without children. Raises
// Error(kGraph) that names graph and vertices on a cycle. No recursion.
std::vector<int32_t> vertex_levels(const GraphBatch& batch);

// An order of the vertices in which children come before their parents; empty where that is the
// user's order, as in most graphs. The same error.
std::vector<int32_t> children_first(const GraphBatch& batch);

}  // namespace cavs
