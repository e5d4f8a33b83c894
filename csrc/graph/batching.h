// Batches of typed vertices: which type runs next, from a policy.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph_batch.h"

namespace cavs {

// How the next type is chosen among those with ready vertices. With one type they are the same but
// for kSerial.
enum class Policy {
  kDepth,   // level by level, in each level type by type
  kAgenda,  // the type whose vertices have the least average depth
  kBound,   // a type whose batch lowers the lower bound of what is left; where no two types wait
            // for each other, types that wait for none first, and so on
  kSerial,  // one vertex at a time, graph by graph
};

// "depth" (or "batching", as it was called), "agenda", "bound", "serial"; Error(kValue) otherwise.
Policy policy_from_name(const std::string& name);

class Frontier;

// From what is ready to the type that runs next.
using ChooseType = std::function<size_t(const Frontier&)>;

// The facts of a function of types by which batches are scheduled for it.
struct TypeOrder {
  struct Edges {
    int parents = 0;    // type of the vertices that have the edges
    int children = -1;  // type of the children; -1: any
  };
  std::vector<std::string> names;  // of the types, by their numbers
  std::vector<int> given;          // types in the order in which graphs number them
  std::vector<Edges> lists;        // lists of edges that the function reads by
  std::vector<char> batched;       // whether the type runs batch by batch; else before or after all
  std::vector<char> apart;         // whether leaves of the type run before the batches

  size_t count() const { return names.size(); }
};

// [vertex] its type's number in the order. Error(kGraph) that names graph and vertex where the
// order has no such type, or where the batch has no types.
std::vector<int32_t> types_of(const GraphBatch& batch, const TypeOrder& order);

// Not one child of a list, but all.
constexpr int kAllSlots = std::numeric_limits<int>::min();

// What vertices of a type read of their children.
struct ChildRead {
  TypeOrder::Edges edges;
  int slot = kAllSlots;     // position in the list; below 0: from its end, the last child is -1
  std::vector<char> types;  // [type] whether it scatters all that is read

  // Whether it reads the child at this position, the last being 0 in the other count.
  bool reads(int place, int place_from_last) const {
    return slot == kAllSlots || slot == place || slot == -1 - place_from_last;
  }
};

// A child that a function cannot read.
struct Unreadable {
  int64_t vertex = 0, edge = 0;  // of the batch
  int read =
      -1;  // number of the read whose states the child does not scatter; -1: nothing reads it
};

// The first child that no read reaches, or that lacks what is read. With `extra`, children that no
// read reaches are left alone. `types`: of types_of.
std::optional<Unreadable> find_unreadable(const GraphBatch& batch,
                                          const std::vector<int32_t>& types, size_t count,
                                          const std::vector<ChildRead>& reads, bool extra);

// Vertices of one type each, in order.
struct TypedBatches {
  std::vector<int> types;          // [batch]
  std::vector<int32_t> ptr = {0};  // CSR: [batch + 1] its vertices
  std::vector<int32_t> vertices;

  size_t size() const { return types.size(); }
  // The last batch has all vertices that were added behind the others.
  void end(int type) {
    types.push_back(type);
    ptr.push_back(static_cast<int32_t>(vertices.size()));
  }
};

// The batches of the vertices that run batch by batch, in an order in which children come first;
// the vertices of each ascend. With `choose` the policy is not asked; Error(kValue) where it names
// a type without ready vertices, Error(kGraph) on a cycle.
TypedBatches typed_batches(const GraphBatch& batch, const TypeOrder& order,
                           const std::vector<int32_t>& types, Policy policy,
                           const ChooseType& choose);

// The batches of all that is left, the vertices of each in no order; the same error.
TypedBatches batches_of(Frontier* frontier, const ChooseType& choose);

// [vertex] whether it runs batch by batch.
std::vector<char> running_vertices(const GraphBatch& batch, const TypeOrder& order,
                                   const std::vector<int32_t>& types);

}  // namespace cavs
