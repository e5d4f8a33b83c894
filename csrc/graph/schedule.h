// The order in which a run goes over the vertices of a batch: they are renumbered batch by batch.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/device.h"
#include "graph/batching.h"
#include "graph/graph_batch.h"

namespace cavs {

// Lists for each vertex the vertices that it is a child of, once for each edge: CSR, edges in
// ascending order.
struct ParentRows {
  std::vector<int32_t> ptr;   // [vertex row + 1]
  std::vector<int32_t> row;   // vertex row of the parent
  std::vector<int32_t> slot;  // position among its children
};

// All edges or, in a function of types, those of one list. Edge rows follow their parent vertex, so
// the edges of a batch are contiguous. Where the batch has runs, `order` and `child` are empty: see
// Schedule::order_of_edges and child_of_edges.
struct EdgeRows {
  int64_t max_arity = 0;       // the most edges of a vertex
  int64_t num_slots = 0;       // 1 + the greatest slot of a child: max_arity, or more with holes
  std::vector<int32_t> order;  // [edge row] user's edge
  std::vector<int32_t> child;  // [edge row] vertex row of the child
  std::vector<int32_t>
      first;                 // [vertex row] where the batch has runs: ChildRuns::first; else empty
  std::vector<int32_t> ptr;  // [vertex row + 1] CSR: edge rows of each vertex (contiguous)
  std::vector<int32_t> slots;  // [edge row] slot_of_edges where lists have holes; else empty
  std::vector<int32_t> local;  // [edge row] local_of_edges of graphs that grow; else empty

  int64_t size() const { return ptr.back(); }
};

// The children of a list of edges, in the user's order: those that vertex row r has by the list are
//   order[first[r]], order[first[r] + 1], ..., order[first[r] + n - 1]
// with n = edges.ptr[r + 1] - edges.ptr[r], if first[r] is not -1. The edge rows of r, which are
// edges.ptr[r] and on, stand in the same order. This does not depend on whether the batch holds
// runs or lists, and is linear in the vertices in either case. first[r] lies within the part of r's
// graph.
struct ChildRuns {
  const std::vector<int32_t>* order = nullptr;  // [place] vertex rows of all vertices, or of those
                                                // of the list's type of children; graph by graph
  const std::vector<int32_t>* graph_ptr = nullptr;  // [graph + 1] first place of each graph
  std::vector<int32_t> first;  // [vertex row] place of the first child; 0 without children; -1
                               // where the children are no run
  std::vector<char> whole;     // [graph] whether all of its vertices have runs
};

// CSR: the edge rows in which each vertex is the child, ascending.
struct OutEdges {
  std::vector<int32_t> ptr;   // [vertex row + 1]
  std::vector<int32_t> edge;  // edge row
};

// The vertex rows of a type: its leaves, then its inner vertices.
struct TypeRows {
  int64_t first = 0, inner = 0, last = 0;
};

// Vertices of one type that run together.
struct Batch {
  int type = 0;
  int64_t begin = 0, end = 0;  // vertex rows
};

// Vertices that are activated together are a batch (the paper's batching task V_t): without types a
// level. Vertex rows stand type by type, within a type batch by batch, so the rows of a batch are
// contiguous, and so are those of a type; its leaves come first. Within a batch vertices keep the
// user's order. Immutable once made; "row" is the new number. Lists that few programs read are made
// when they are first asked for, and kept; any number of threads may ask at once.
struct Schedule {
  Schedule();
  Schedule(Schedule&&) noexcept;
  Schedule& operator=(Schedule&&) noexcept;
  ~Schedule();

  int64_t num_graphs = 0, num_vertices = 0, num_edges = 0;
  int64_t num_leaves = 0;  // vertices without children, which are the first rows; -1 where leaves
                           // come behind other vertices. With types: 0, or -1 if so in some type
  bool typed = false;      // made for a function of types
  TypeOrder order;         // of that function
  std::vector<TypeRows> types;          // [type]; without types one of all rows
  std::vector<EdgeRows> edges;          // [list of edges]; without types one of all edges
  std::vector<Batch> batches;           // in order
  std::vector<int32_t> step_ptr;        // [step + 1] batches that do not wait for each other
  std::vector<int32_t> level_ptr;       // without types: [level + 1] first vertex row,
  std::vector<int32_t> level_edge_ptr;  //   and first edge row of each batch

  std::vector<int32_t> vertex_order;  // [vertex row] user's vertex
  std::vector<int32_t> vertex_row;    // [user's vertex] vertex row
  std::vector<int32_t> graph_ptr;     // [graph + 1] CSR: vertex rows of each graph,
  std::vector<int32_t> graph_vertex;  //   in the user's order
  std::vector<int32_t> graph_edge;    // [graph + 1] first edge of each graph, in the user's order
  std::vector<int32_t> graph,
      local;  // of graphs that grow: see graph_of_vertices, local_of_vertices
  std::vector<int32_t> run_first, run_ptr;  // GraphBatch::first and child_ptr of a batch with runs

  // Whether so few vertices are leaves, as in a few chains, that to run them apart costs more than
  // it spares: each product of theirs reads a whole weight. Not asked of types.
  bool has_few_leaves() const {
    constexpr int64_t few = 32, share = 8;  // measured on language models and taggers
    return !typed && num_leaves >= 0 && num_leaves < few && num_leaves * share <= num_vertices;
  }

  int64_t num_batches() const { return static_cast<int64_t>(batches.size()); }
  const EdgeRows& all_edges() const { return edges.front(); }
  // Whether the batch holds runs. Lists with an entry for each edge are then made when they are
  // first asked for.
  bool has_runs() const { return !run_first.empty(); }

  const std::vector<int32_t>& graph_of_vertices() const;  // [vertex row] graph
  const std::vector<int32_t>& local_of_vertices() const;  // [vertex row] index within its graph

  // The runs of a list of edges; found when they are first asked for, also where the batch holds
  // lists. In graphs that grow no vertex has one, since children have no rows of this schedule.
  const ChildRuns& runs(int list = 0) const;

  // [edge row] of a list of edges: the user's edge; the vertex row of the child; the vertex row of
  // the parent; the place among its children, and the same counted from the last child, which is 0,
  // without holes; the graph; the index within the edges of the graph.
  const std::vector<int32_t>& order_of_edges(int list = 0) const;
  const std::vector<int32_t>& child_of_edges(int list = 0) const;
  const std::vector<int32_t>& parent_of_edges(int list = 0) const;
  const std::vector<int32_t>& slot_of_edges(int list = 0) const;
  const std::vector<int32_t>& last_slot_of_edges(int list = 0) const;
  const std::vector<int32_t>& graph_of_edges(int list = 0) const;
  const std::vector<int32_t>& local_of_edges(int list = 0) const;
  const OutEdges& out_edges(int list = 0) const;

  // [vertex row] vertex row of the k-th child in a list of edges, or -1. Below 0 the last child is
  // -1, the one before it -2: holes do not count.
  const std::vector<int32_t>& slot(int k, int list = 0) const;

  // The parents by all edges of a list (slots 0), or by the edges at the first `slots` slots, with
  // their slots, or at the last `-slots`, with slots from the last one on.
  const ParentRows& parents(int slots, int list = 0) const;

  // [vertex row], [edge row] of lists of edges: the place in an array that the user gives for
  // vertices of these types, or for edges of these lists; -1 for other vertices.
  // For lists the numbers of edge rows begin anew in each list, one after the other.
  const std::vector<int32_t>& places_of_vertices(const std::vector<int>& types) const;
  const std::vector<int32_t>& places_of_edges(const std::vector<int>& lists, int list) const;

  // CSR: the vertices of some types in each graph, in the user's order.
  struct GraphVertices {
    std::vector<int32_t> ptr, vertex;
  };
  const GraphVertices& vertices_of_graphs(const std::vector<int>& types) const;

  // [type] whether vertices of the type are children in a list of edges: at any slot (kAllSlots) or
  // at this one.
  const std::vector<char>& types_of_children(int list, int slot) const;

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
  template <class Key, class Value, class Make>
  const Value& once(std::map<Key, Value> Cache::* kept, const Key& key, const Make& make) const;

  std::unique_ptr<Cache> cache_;
};

// Without types, a vertex is activated when its last child is done, so its level is 1 + the
// greatest level of its children, 0 without children; serial makes each vertex a level of its own:
// graph by graph, and within a graph by increasing level. Raises Error(kGraph) that names graph and
// vertices on a cycle. No recursion.
Schedule make_schedule(const GraphBatch& batch, Policy policy);

// For a function of types. The policy, or `choose` in its place, says which type runs next.
Schedule make_schedule(const GraphBatch& batch, Policy policy, const TypeOrder& order,
                       const ChooseType& choose = nullptr);

}  // namespace cavs
