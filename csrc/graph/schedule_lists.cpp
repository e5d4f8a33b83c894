// The lists of a schedule that are made when they are first asked for.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "graph/schedule.h"
#include "graph/schedule_runs.h"

namespace cavs {
namespace {

using Rows = std::vector<int32_t>;

enum class Kind : uint8_t {
  kGraph,
  kLocal,
  kOrder,
  kChild,
  kParent,
  kSlot,
  kLastSlot,
  kEdgeGraph,
  kEdgeLocal
};

// [vertex] of the user
Rows graphs_of(const Rows& graph_ptr) {
  Rows graph_of(static_cast<size_t>(graph_ptr.back()));
  for (size_t g = 0; g + 1 < graph_ptr.size(); ++g) {
    std::fill(graph_of.begin() + graph_ptr[g], graph_of.begin() + graph_ptr[g + 1],
              static_cast<int32_t>(g));
  }
  return graph_of;
}

Rows parents_of(const EdgeRows& edges) {
  Rows parents(static_cast<size_t>(edges.size()));
  for (size_t row = 0; row + 1 < edges.ptr.size(); ++row) {
    for (int32_t e = edges.ptr[row]; e < edges.ptr[row + 1]; ++e) {
      parents[e] = static_cast<int32_t>(row);
    }
  }
  return parents;
}

// The children have rows from `first` to `last`.
OutEdges turned_round(const Rows& children, int64_t first, int64_t last, int64_t num_vertices) {
  OutEdges out;
  // Counted two places ahead, so that filling leaves ptr[r] at the first edge of r.
  out.ptr.assign(static_cast<size_t>(num_vertices) + 2, 0);
  for (const int32_t child : children) ++out.ptr[child + 2];
  const auto ptr = out.ptr.begin();
  std::partial_sum(ptr + first, ptr + last + 2, ptr + first);
  std::fill(ptr + last + 2, out.ptr.end(), static_cast<int32_t>(children.size()));
  out.edge.resize(children.size());
  for (size_t r = 0; r < children.size(); ++r) {
    out.edge[out.ptr[children[r] + 1]++] = static_cast<int32_t>(r);
  }
  out.ptr.pop_back();
  return out;
}

Rows children_at(int k, const EdgeRows& edges, int64_t num_vertices) {
  Rows rows(static_cast<size_t>(num_vertices), -1);
  for (int64_t row = 0; row < num_vertices; ++row) {
    if (k < 0) {
      const int64_t edge = int64_t{edges.ptr[row + 1]} + k;
      if (edge >= edges.ptr[row]) rows[row] = edges.child[edge];
      continue;
    }
    if (edges.slots.empty()) {
      const int64_t edge = int64_t{edges.ptr[row]} + k;
      if (edge < edges.ptr[row + 1]) rows[row] = edges.child[edge];
      continue;
    }
    for (int32_t edge = edges.ptr[row]; edge < edges.ptr[row + 1]; ++edge) {
      if (edges.slots[edge] == k) rows[row] = edges.child[edge];
    }
  }
  return rows;
}

}  // namespace

// Behind a pointer, so that a Schedule can be moved although a mutex cannot.
struct Schedule::Cache {
  using Key = std::pair<int, int>;            // list of edges, and slot or number of slots
  std::recursive_mutex mutex;                 // one list may be made of another
  std::map<std::pair<Kind, int>, Rows> rows;  // maps, because references into them stay valid
  std::map<int, OutEdges> out_edges;
  std::map<int, ChildRuns> runs;
  std::map<Key, Rows> slots;
  std::map<Key, ParentRows> parents;
  std::map<std::vector<int>, Rows> vertex_places;
  std::map<std::pair<std::vector<int>, int>, Rows> edge_places;
  std::map<std::vector<int>, GraphVertices> graph_vertices;
  std::map<Key, std::vector<char>> child_types;
  std::vector<std::pair<Device, std::unique_ptr<Mirror>>> mirrors;
};

Schedule::Schedule() : cache_(std::make_unique<Cache>()) {}
Schedule::Schedule(Schedule&&) noexcept = default;
Schedule& Schedule::operator=(Schedule&&) noexcept = default;
Schedule::~Schedule() = default;

Schedule::Mirror& Schedule::mirror(const Device& device, std::unique_ptr<Mirror> (*make)()) const {
  const std::lock_guard<std::recursive_mutex> lock(cache_->mutex);
  for (const auto& [known, mirror] : cache_->mirrors) {
    if (known == device) return *mirror;
  }
  cache_->mirrors.emplace_back(device, make());
  return *cache_->mirrors.back().second;
}

template <class Key, class Value, class Make>
const Value& Schedule::once(std::map<Key, Value> Cache::* kept, const Key& key,
                            const Make& make) const {
  const std::lock_guard<std::recursive_mutex> lock(cache_->mutex);
  auto& map = (*cache_).*kept;
  const auto found = map.find(key);
  if (found != map.end()) return found->second;
  return map.emplace(key, make()).first->second;
}

const Rows& Schedule::graph_of_vertices() const {
  if (!graph.empty()) return graph;
  return once(&Cache::rows, std::pair(Kind::kGraph, 0), [&] {
    const Rows graphs = graphs_of(graph_ptr);
    Rows rows;
    rows.reserve(graphs.size());
    for (const int32_t v : vertex_order) rows.push_back(graphs[v]);
    return rows;
  });
}

const Rows& Schedule::local_of_vertices() const {
  if (!local.empty()) return local;
  return once(&Cache::rows, std::pair(Kind::kLocal, 0), [&] {
    const Rows graphs = graphs_of(graph_ptr);
    Rows rows;
    rows.reserve(graphs.size());
    for (const int32_t v : vertex_order) rows.push_back(v - graph_ptr[graphs[v]]);
    return rows;
  });
}

const ChildRuns& Schedule::runs(int list) const {
  return once(&Cache::runs, list, [&] { return find_runs(*this, list); });
}

const Rows& Schedule::order_of_edges(int list) const {
  if (!has_runs()) return edges[static_cast<size_t>(list)].order;
  return once(&Cache::rows, std::pair(Kind::kOrder, list),
              [&] { return order_of_runs(*this, list); });
}

const Rows& Schedule::child_of_edges(int list) const {
  if (!has_runs()) return edges[static_cast<size_t>(list)].child;
  return once(&Cache::rows, std::pair(Kind::kChild, list),
              [&] { return children_of_runs(*this, list); });
}

const Rows& Schedule::parent_of_edges(int list) const {
  return once(&Cache::rows, std::pair(Kind::kParent, list),
              [&] { return parents_of(edges[static_cast<size_t>(list)]); });
}

const Rows& Schedule::slot_of_edges(int list) const {
  const EdgeRows& of = edges[static_cast<size_t>(list)];
  if (!of.slots.empty()) return of.slots;
  return once(&Cache::rows, std::pair(Kind::kSlot, list), [&] {
    Rows rows = parent_of_edges(list);
    for (size_t e = 0; e < rows.size(); ++e) rows[e] = static_cast<int32_t>(e) - of.ptr[rows[e]];
    return rows;
  });
}

const Rows& Schedule::last_slot_of_edges(int list) const {
  return once(&Cache::rows, std::pair(Kind::kLastSlot, list), [&] {
    const EdgeRows& of = edges[static_cast<size_t>(list)];
    Rows rows = parent_of_edges(list);
    for (size_t e = 0; e < rows.size(); ++e) {
      rows[e] = of.ptr[rows[e] + 1] - 1 - static_cast<int32_t>(e);
    }
    return rows;
  });
}

const Rows& Schedule::graph_of_edges(int list) const {
  return once(&Cache::rows, std::pair(Kind::kEdgeGraph, list), [&] {
    const Rows& graphs = graph_of_vertices();
    Rows rows = parent_of_edges(list);
    for (int32_t& row : rows) row = graphs[row];
    return rows;
  });
}

const Rows& Schedule::local_of_edges(int list) const {
  const EdgeRows& of = edges[static_cast<size_t>(list)];
  if (!of.local.empty()) return of.local;
  return once(&Cache::rows, std::pair(Kind::kEdgeLocal, list), [&] {
    const Rows& own = order_of_edges(list);
    Rows rows = graph_of_edges(list);
    for (size_t e = 0; e < rows.size(); ++e) rows[e] = own[e] - graph_edge[rows[e]];
    return rows;
  });
}

const OutEdges& Schedule::out_edges(int list) const {
  return once(&Cache::out_edges, list, [&] {
    const int children = typed ? order.lists[static_cast<size_t>(list)].children : -1;
    const TypeRows all = {0, 0, num_vertices};
    const TypeRows& rows = children < 0 ? all : types[static_cast<size_t>(children)];
    return turned_round(child_of_edges(list), rows.first, rows.last, num_vertices);
  });
}

const Rows& Schedule::slot(int k, int list) const {
  return once(&Cache::slots, Cache::Key(list, k), [&] {
    return has_runs() ? children_of_runs_at(k, *this, list)
                      : children_at(k, edges[static_cast<size_t>(list)], num_vertices);
  });
}

const ParentRows& Schedule::parents(int slots, int list) const {
  return once(&Cache::parents, Cache::Key(list, slots), [&] {
    if (has_runs() && slots != 0) return parents_of_runs_at(slots, *this, list);
    const OutEdges& out = out_edges(list);
    const Rows& parent = parent_of_edges(list);
    ParentRows rows;
    rows.row.reserve(out.edge.size());
    if (slots == 0) {
      rows.ptr = out.ptr;
      for (const int32_t edge : out.edge) rows.row.push_back(parent[edge]);
      return rows;
    }
    const Rows& slot = slots > 0 ? slot_of_edges(list) : last_slot_of_edges(list);
    const int count = std::abs(slots);
    rows.slot.reserve(out.edge.size());
    rows.ptr.assign(out.ptr.size(), 0);
    for (int64_t row = 0; row < num_vertices; ++row) {
      for (int32_t i = out.ptr[row]; i < out.ptr[row + 1]; ++i) {
        const int32_t edge = out.edge[i];
        if (slot[edge] >= count) continue;
        rows.row.push_back(parent[edge]);
        rows.slot.push_back(slot[edge]);
      }
      rows.ptr[row + 1] = static_cast<int32_t>(rows.row.size());
    }
    return rows;
  });
}

const Rows& Schedule::places_of_vertices(const std::vector<int>& of_types) const {
  return once(&Cache::vertex_places, of_types, [&] {
    Rows places(static_cast<size_t>(num_vertices), -1);
    for (const int type : of_types) {
      const TypeRows& rows = types[static_cast<size_t>(type)];
      std::fill(places.begin() + rows.first, places.begin() + rows.last, 0);
    }
    int32_t next = 0;
    for (const int32_t row : vertex_row) {
      if (places[row] == 0) places[row] = next++;
    }
    return places;
  });
}

const Rows& Schedule::places_of_edges(const std::vector<int>& lists, int list) const {
  return once(&Cache::edge_places, std::pair(lists, list), [&] {
    Rows by_edge(static_cast<size_t>(num_edges), -1);  // [user's edge]
    for (const int each : lists) {
      for (const int32_t edge : order_of_edges(each)) by_edge[edge] = 0;
    }
    int32_t next = 0;
    for (int32_t& place : by_edge) {
      if (place == 0) place = next++;
    }
    Rows places = order_of_edges(list);
    for (int32_t& edge : places) edge = by_edge[edge];
    return places;
  });
}

const Schedule::GraphVertices& Schedule::vertices_of_graphs(
    const std::vector<int>& of_types) const {
  return once(&Cache::graph_vertices, of_types, [&] {
    std::vector<char> wanted(static_cast<size_t>(num_vertices), 0);
    for (const int type : of_types) {
      const TypeRows& rows = types[static_cast<size_t>(type)];
      std::fill(wanted.begin() + rows.first, wanted.begin() + rows.last, 1);
    }
    GraphVertices lists;
    lists.ptr.push_back(0);
    for (int64_t g = 0; g < num_graphs; ++g) {
      for (int32_t i = graph_ptr[g]; i < graph_ptr[g + 1]; ++i) {
        if (wanted[graph_vertex[i]]) lists.vertex.push_back(graph_vertex[i]);
      }
      lists.ptr.push_back(static_cast<int32_t>(lists.vertex.size()));
    }
    return lists;
  });
}

const std::vector<char>& Schedule::types_of_children(int list, int slot) const {
  return once(&Cache::child_types, Cache::Key(list, slot), [&] {
    const EdgeRows& of = edges[static_cast<size_t>(list)];
    std::vector<char> there(types.size(), 0);
    const int known = typed ? order.lists[static_cast<size_t>(list)].children : 0;
    if (known >= 0) {
      there[static_cast<size_t>(known)] = of.num_slots > (slot > 0 ? slot : 0);
      return there;
    }
    const auto note = [&](int32_t row) {
      for (size_t t = 0; row >= 0 && t < types.size(); ++t) {
        if (row >= types[t].first && row < types[t].last) there[t] = 1;
      }
    };
    if (slot != kAllSlots) {
      for (const int32_t row : this->slot(slot, list)) note(row);
    } else if (has_runs()) {
      for (const int32_t row : rows_in_runs(*this, list)) note(row);
    } else {
      for (const int32_t row : of.child) note(row);
    }
    return there;
  });
}

}  // namespace cavs
