// Checks graphs, and puts them side by side into one batch.
#include "graph/graph_batch.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "graph/child_runs.h"
#include "graph/graph_checks.h"

namespace cavs {
namespace {

void check_child_offsets(const std::vector<int64_t>& ptr, const std::vector<int64_t>& child_ptr) {
  check_start(child_ptr, "child_ptr");
  const auto num_graphs = static_cast<int64_t>(ptr.size()) - 1;
  for (int64_t g = 0; g < num_graphs; ++g) {
    for (int64_t v = ptr[g]; v < ptr[g + 1]; ++v) {
      CAVS_CHECK(child_ptr[v + 1] >= child_ptr[v], ErrorKind::kGraph, "[graph] ",
                 graph_name(num_graphs, g, ", "), "vertex ", v - ptr[g],
                 ": expected child_ptr not to decrease, got ", child_ptr[v + 1], " after ",
                 child_ptr[v], "; check the offsets");
    }
  }
}

// Takes the holes, children of -1, out of a batch that is right otherwise.
void remove_holes(GraphBatch* batch) {
  std::vector<int32_t> slots;
  size_t kept = 0;
  int32_t begin = 0;
  bool moved = false;
  for (size_t v = 0; v + 1 < batch->child_ptr.size(); ++v) {
    const int32_t end = batch->child_ptr[v + 1];
    const size_t first = kept;
    for (int32_t i = begin; i < end; ++i) {
      if (batch->lists[i] < 0) continue;
      moved = moved || static_cast<size_t>(i - begin) != kept - first;
      slots.push_back(i - begin);
      batch->lists[kept++] = batch->lists[i];
    }
    begin = end;
    batch->child_ptr[v + 1] = static_cast<int32_t>(kept);
  }
  batch->lists.resize(kept);
  for (size_t g = 0; g < batch->ptr.size(); ++g) {
    batch->edge_ptr[g] = batch->child_ptr[batch->ptr[g]];
  }
  // Holes at the ends of lists alone change nothing, and leave an ordinary batch.
  if (moved) batch->slots = std::move(slots);
}

// Orders the vertices by the leaf of least number below each. The walk from a leaf upwards takes
// all vertices that no earlier leaf took, so the walks pass each vertex once. Vertices that no walk
// reaches are on a cycle and come last.
std::vector<int64_t> by_first_leaf(const std::vector<int64_t>& parents) {
  std::vector<char> has_children(parents.size(), 0), taken(parents.size(), 0);
  for (const int64_t parent : parents) {
    if (parent >= 0) has_children[parent] = 1;
  }
  std::vector<int64_t> order;
  order.reserve(parents.size());
  const auto take = [&](size_t first) {
    for (auto v = static_cast<int64_t>(first); v >= 0 && !taken[v]; v = parents[v]) {
      taken[v] = 1;
      order.push_back(v);
    }
  };
  for (size_t v = 0; v < parents.size(); ++v) {
    if (!has_children[v]) take(v);
  }
  for (size_t v = 0; v < parents.size(); ++v) take(v);
  return order;
}

// One pass suffices where every child has a smaller number (Step 1) or a greater one (Step -1) than
// its parent, as loaders number trees. Returns false for any other order.
template <int Step>
bool levels_in_order(const GraphBatch& batch, std::vector<int32_t>* levels) {
  const int64_t num_vertices = batch.num_vertices();
  for (int64_t i = 0; i < num_vertices; ++i) {
    const int64_t v = Step > 0 ? i : num_vertices - 1 - i;
    int32_t level = 0;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.lists[e];
      if (Step > 0 ? child >= v : child <= v) return false;
      level = std::max(level, (*levels)[child] + 1);
    }
    (*levels)[v] = level;
  }
  return true;
}

void append(std::vector<int32_t>* to, const std::vector<int32_t>& from, size_t first,
            int32_t offset) {
  for (size_t i = first; i < from.size(); ++i) to->push_back(from[i] + offset);
}

// Lays the runs of batches end to end; false where a list is no run.
bool append_runs(const std::vector<const GraphBatch*>& batches, std::vector<int32_t>* first) {
  int32_t vertex = 0;
  for (const GraphBatch* part : batches) {
    if (part->has_runs()) {
      append(first, part->first, 0, vertex);
    } else {
      const std::vector<int32_t> found = runs_of_lists(*part);
      if (found.empty() && part->num_vertices() > 0) return false;
      append(first, found, 0, vertex);
    }
    vertex += static_cast<int32_t>(part->num_vertices());
  }
  return true;
}

// `pending[v] > 0` holds for vertices on a cycle and for vertices above one. Each of them has a
// child for which it holds too, so steps from child to child end in the cycle.
[[noreturn]] void fail_on_cycle(const GraphBatch& batch, const std::vector<int32_t>& pending) {
  const auto waits = [&](int32_t v) { return pending[v] > 0; };
  auto v = static_cast<int32_t>(
      std::find_if(pending.begin(), pending.end(), [](int32_t n) { return n > 0; }) -
      pending.begin());
  const auto graph =
      std::upper_bound(batch.ptr.begin(), batch.ptr.end(), v) - batch.ptr.begin() - 1;
  std::vector<int32_t> path;
  std::vector<int32_t> position(pending.size(), -1);
  while (position[v] < 0) {
    position[v] = static_cast<int32_t>(path.size());
    path.push_back(v);
    const int32_t* children = batch.lists.data();
    v = *std::find_if(children + batch.child_ptr[v], children + batch.child_ptr[v + 1], waits);
  }
  path.push_back(v);
  constexpr size_t kMaxNamed = 8;
  std::string cycle;
  for (size_t i = position[v], named = 0; i < path.size(); ++i, ++named) {
    if (named > 0) cycle += " -> ";
    if (named == kMaxNamed && i + 1 < path.size()) {
      cycle += "... -> ";
      i = path.size() - 1;
    }
    cycle += std::to_string(path[i] - batch.ptr[graph]);
  }
  fail(ErrorKind::kGraph, "[graph] ", graph_name(batch.num_graphs(), graph, ": "),
       "expected no vertex to be its own descendant, got vertices ", cycle,
       ", each a child of the one before; remove an edge of this cycle");
}

}  // namespace

GraphBatch make_graph_batch(const std::vector<int64_t>& ptr, const std::vector<int64_t>& child_ptr,
                            const std::vector<int64_t>& children) {
  check_graph_offsets(ptr);
  check_total(ptr.back(), "vertices");
  check_length(child_ptr.size(), ptr.back() + 1, "child_ptr", "one for each vertex and the total");
  check_child_offsets(ptr, child_ptr);
  check_total(child_ptr.back(), "edges");
  check_length(children.size(), child_ptr.back(), "children", "the last of child_ptr");

  GraphBatch batch;
  batch.ptr.assign(ptr.begin(), ptr.end());
  batch.child_ptr.assign(child_ptr.begin(), child_ptr.end());
  batch.edge_ptr.resize(ptr.size());
  batch.lists.resize(children.size());
  const int64_t num_graphs = batch.num_graphs();
  bool has_holes = false;
  for (int64_t g = 0; g < num_graphs; ++g) {
    const int64_t size = ptr[g + 1] - ptr[g];
    batch.edge_ptr[g + 1] = batch.child_ptr[ptr[g + 1]];
    for (int64_t e = batch.edge_ptr[g]; e < batch.edge_ptr[g + 1]; ++e) {
      if (children[e] < 0 || children[e] >= size) {
        if (children[e] == -1) {
          has_holes = true;
          batch.lists[e] = -1;
          continue;
        }
        const auto v =
            std::upper_bound(child_ptr.begin(), child_ptr.end(), e) - child_ptr.begin() - 1;
        fail(ErrorKind::kGraph, "[graph] ", graph_name(num_graphs, g, ", "), "vertex ", v - ptr[g],
             ": expected a child in 0..", size - 1, ", got ", children[e],
             "; check the child list, in which -1 is a hole");
      }
      batch.lists[e] = static_cast<int32_t>(ptr[g] + children[e]);
    }
  }
  if (has_holes) remove_holes(&batch);
  return batch;
}

void set_types(std::vector<int32_t> types, GraphBatch* batch) {
  check_length(types.size(), batch->num_vertices(), "types", "one for each vertex");
  batch->types = std::move(types);
}

void set_slots(const std::vector<int64_t>& slots, GraphBatch* batch) {
  check_length(slots.size(), batch->num_edges(), "child_slot", "one for each edge, without holes");
  std::vector<int32_t> found(slots.size());
  bool moved = false;
  for (int64_t v = 0; v < batch->num_vertices(); ++v) {
    int64_t least = 0;
    const int32_t first = batch->child_ptr[v];
    for (int32_t e = first; e < batch->child_ptr[v + 1]; ++e) {
      CAVS_CHECK(slots[e] >= least && slots[e] <= kMaxRows, ErrorKind::kGraph, "[graph] edge ", e,
                 ": expected a slot in ", least, "..", kMaxRows, ", got ", slots[e],
                 "; let the slots of a vertex's children ascend");
      least = slots[e] + 1;
      moved = moved || slots[e] != e - first;
      found[e] = static_cast<int32_t>(slots[e]);
    }
  }
  batch->slots = moved ? std::move(found) : std::vector<int32_t>();
}

std::vector<int32_t> child_slots(const GraphBatch& batch) {
  if (!batch.slots.empty()) return batch.slots;
  std::vector<int32_t> slots(static_cast<size_t>(batch.num_edges()));
  for (int64_t v = 0; v < batch.num_vertices(); ++v) {
    std::iota(slots.begin() + batch.child_ptr[v], slots.begin() + batch.child_ptr[v + 1], 0);
  }
  return slots;
}

GraphBatch graph_from_edges(int64_t num_vertices, const std::vector<int64_t>& children,
                            const std::vector<int64_t>& parents) {
  CAVS_CHECK(num_vertices >= 0, ErrorKind::kGraph,
             "[graph] expected num_vertices of 0 or more, got ", num_vertices,
             "; give the number of vertices");
  check_total(num_vertices, "vertices");
  CAVS_CHECK(children.size() == parents.size(), ErrorKind::kGraph,
             "[graph] expected as many children as parents of edges, got ", children.size(),
             " and ", parents.size(), "; give both ends of each edge");
  std::vector<int64_t> ptr(num_vertices + 2, 0);
  for (size_t e = 0; e < parents.size(); ++e) {
    const auto check_end = [&](int64_t vertex, const char* what) {
      CAVS_CHECK(vertex >= 0 && vertex < num_vertices, ErrorKind::kGraph, "[graph] edge ", e,
                 ": expected a ", what, " in 0..", num_vertices - 1, ", got ", vertex,
                 "; check the edges");
    };
    check_end(children[e], "child");
    check_end(parents[e], "parent");
    ++ptr[parents[e] + 2];
  }
  for (int64_t v = 0; v < num_vertices; ++v) ptr[v + 2] += ptr[v + 1];
  std::vector<int64_t> sorted(children.size());
  for (size_t e = 0; e < parents.size(); ++e) sorted[ptr[parents[e] + 1]++] = children[e];
  ptr.pop_back();
  return make_graph_batch({0, num_vertices}, ptr, sorted);
}

GraphBatch graph_from_parents(const std::vector<int64_t>& parents, SiblingOrder order) {
  const auto num_vertices = static_cast<int64_t>(parents.size());
  for (int64_t v = 0; v < num_vertices; ++v) {
    CAVS_CHECK(parents[v] >= -1 && parents[v] < num_vertices, ErrorKind::kGraph, "[graph] vertex ",
               v, ": expected a parent in -1..", num_vertices - 1, ", got ", parents[v],
               "; use -1 for a root");
  }
  std::vector<int64_t> edge_children, edge_parents;
  edge_children.reserve(parents.size());
  edge_parents.reserve(parents.size());
  const auto add = [&](int64_t v) {
    if (parents[v] < 0) return;
    edge_children.push_back(v);
    edge_parents.push_back(parents[v]);
  };
  if (order == SiblingOrder::kNumber) {
    for (int64_t v = 0; v < num_vertices; ++v) add(v);
  } else {
    for (const int64_t v : by_first_leaf(parents)) add(v);
  }
  return graph_from_edges(num_vertices, edge_children, edge_parents);
}

GraphBatch concatenate(const std::vector<const GraphBatch*>& batches) {
  int64_t num_graphs = 0, num_vertices = 0, num_edges = 0;
  bool has_holes = false, has_runs = false;
  const GraphBatch *typed = nullptr, *untyped = nullptr;
  for (const GraphBatch* part : batches) {
    if (part->num_vertices() > 0) (part->types.empty() ? untyped : typed) = part;
    num_graphs += part->num_graphs();
    num_vertices += part->num_vertices();
    num_edges += part->num_edges();
    has_holes = has_holes || !part->slots.empty();
    has_runs = has_runs || part->has_runs();
  }
  check_total(num_graphs, "graphs");
  check_total(num_vertices, "vertices");
  check_total(num_edges, "edges");
  CAVS_CHECK(
      typed == nullptr || untyped == nullptr, ErrorKind::kGraph,
      "[graph] expected types for the vertices of all graphs of a batch or of none, got some "
      "with and some without; give types to all");
  GraphBatch batch;
  batch.ptr.reserve(num_graphs + 1);
  batch.edge_ptr.reserve(num_graphs + 1);
  batch.child_ptr.reserve(num_vertices + 1);
  std::vector<int32_t> first;
  has_runs = has_runs && append_runs(batches, &first);
  if (!has_runs) batch.lists.reserve(num_edges);
  for (const GraphBatch* part : batches) {
    const int32_t vertex = batch.ptr.back(), edge = batch.edge_ptr.back();
    append(&batch.ptr, part->ptr, 1, vertex);
    append(&batch.edge_ptr, part->edge_ptr, 1, edge);
    append(&batch.child_ptr, part->child_ptr, 1, edge);
    if (!has_runs) append(&batch.lists, part->children(), 0, vertex);
    if (has_holes) append(&batch.slots, child_slots(*part), 0, 0);
    batch.types.insert(batch.types.end(), part->types.begin(), part->types.end());
  }
  if (has_runs) set_runs(std::move(first), &batch);
  return batch;
}

GraphBatch reverse(const GraphBatch& batch) {
  const int64_t num_vertices = batch.num_vertices();
  GraphBatch reversed;
  reversed.ptr = batch.ptr;
  reversed.edge_ptr = batch.edge_ptr;
  reversed.types = batch.types;
  if (batch.has_runs() && reverse_runs(batch, &reversed)) return reversed;
  const std::vector<int32_t>& children = batch.children();
  std::vector<int32_t>& ptr = reversed.child_ptr;
  ptr.assign(num_vertices + 2, 0);
  reversed.lists.resize(children.size());
  // Counted two places ahead, so that filling leaves ptr[v] at the first edge of v.
  for (int32_t child : children) ++ptr[child + 2];
  for (int64_t v = 0; v < num_vertices; ++v) ptr[v + 2] += ptr[v + 1];
  for (int64_t v = 0; v < num_vertices; ++v) {
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      reversed.lists[ptr[children[e] + 1]++] = static_cast<int32_t>(v);
    }
  }
  ptr.pop_back();
  return reversed;
}

std::vector<int32_t> vertex_levels(const GraphBatch& batch) {
  if (batch.has_runs()) return levels_of_runs(batch);
  const int64_t num_vertices = batch.num_vertices();
  std::vector<int32_t> levels(num_vertices);
  if (levels_in_order<1>(batch, &levels) || levels_in_order<-1>(batch, &levels)) return levels;

  const GraphBatch parents = reverse(batch);
  std::vector<int32_t> pending(num_vertices);  // children whose level is not known yet
  std::vector<int32_t> done;
  done.reserve(num_vertices);
  for (int64_t v = 0; v < num_vertices; ++v) {
    pending[v] = batch.child_ptr[v + 1] - batch.child_ptr[v];
    levels[v] = 0;
    if (pending[v] == 0) done.push_back(static_cast<int32_t>(v));
  }
  for (size_t i = 0; i < done.size(); ++i) {
    const int32_t v = done[i];
    for (int32_t e = parents.child_ptr[v]; e < parents.child_ptr[v + 1]; ++e) {
      const int32_t parent = parents.lists[e];
      levels[parent] = std::max(levels[parent], levels[v] + 1);
      if (--pending[parent] == 0) done.push_back(parent);
    }
  }
  if (static_cast<int64_t>(done.size()) < num_vertices) fail_on_cycle(batch, pending);
  return levels;
}

std::vector<int32_t> children_first(const GraphBatch& batch) {
  if (batch.has_runs()) {
    RunPlaces runs(batch);
    return runs.in_order ? std::vector<int32_t>() : std::move(runs.vertex);
  }
  const auto count = static_cast<int32_t>(batch.num_vertices());
  const auto in_order = [&] {
    for (int32_t v = 0; v < count; ++v) {
      for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
        if (batch.lists[e] >= v) return false;
      }
    }
    return true;
  };
  std::vector<int32_t> order;
  if (in_order()) return order;
  const std::vector<int32_t> levels = vertex_levels(batch);
  order.resize(levels.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return levels[a] < levels[b]; });
  return order;
}

}  // namespace cavs
