// Numbers the vertices of a batch, and makes the tables that lead from row to row.
#include "graph/schedule.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace cavs {

// Behind a pointer, so that a Schedule can be moved although a mutex cannot.
struct Schedule::Cache {
  using Key = std::pair<int, int>;  // list of edges, and slot or number of slots
  std::mutex mutex;
  std::map<Key, std::vector<int32_t>> slots;  // maps, because references into them stay valid
  std::map<Key, ParentRows> parents;
  std::map<std::vector<int>, std::vector<int32_t>> vertex_places;
  std::map<std::pair<std::vector<int>, int>, std::vector<int32_t>> edge_places;
  std::map<std::vector<int>, GraphVertices> graph_vertices;
  std::map<Key, std::vector<char>> child_types;
  std::vector<std::pair<Device, std::unique_ptr<Mirror>>> mirrors;
};

Schedule::Schedule() : cache_(std::make_unique<Cache>()) {}
Schedule::Schedule(Schedule&&) noexcept = default;
Schedule& Schedule::operator=(Schedule&&) noexcept = default;
Schedule::~Schedule() = default;

Schedule::Mirror& Schedule::mirror(const Device& device, std::unique_ptr<Mirror> (*make)()) const {
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  for (const auto& [known, mirror] : cache_->mirrors) {
    if (known == device) return *mirror;
  }
  cache_->mirrors.emplace_back(device, make());
  return *cache_->mirrors.back().second;
}

const std::vector<int32_t>& Schedule::slot(int k, int list) const {
  CAVS_CHECK(k >= 0, ErrorKind::kValue, "[schedule] expected a child slot of 0 or more, got ", k,
             "; count children from 0");
  const EdgeRows& of = edges[static_cast<size_t>(list)];
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->slots.find({list, k});
  if (found != cache_->slots.end()) return found->second;
  std::vector<int32_t> rows(num_vertices, -1);
  if (of.has_holes) {
    for (int64_t edge = 0; edge < of.size(); ++edge) {
      if (of.slot[edge] == k) rows[of.parent[edge]] = of.child[edge];
    }
  } else {
    for (int64_t row = 0; row < num_vertices; ++row) {
      const int64_t edge = int64_t{of.ptr[row]} + k;
      if (edge < of.ptr[row + 1]) rows[row] = of.child[edge];
    }
  }
  return cache_->slots.emplace(Cache::Key(list, k), std::move(rows)).first->second;
}

const ParentRows& Schedule::parents(int slots, int list) const {
  CAVS_CHECK(slots >= 0, ErrorKind::kValue, "[schedule] expected 0 child slots or more, got ",
             slots, "; pass 0 for all");
  const EdgeRows& of = edges[static_cast<size_t>(list)];
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->parents.find({list, slots});
  if (found != cache_->parents.end()) return found->second;
  ParentRows rows;
  const bool all = slots == 0 || slots >= of.num_slots;
  rows.row.reserve(static_cast<size_t>(of.size()));
  if (slots > 0) rows.slot.reserve(static_cast<size_t>(of.size()));
  if (all) {
    rows.ptr = of.out_ptr;
    for (const int32_t edge : of.out_edge) rows.row.push_back(of.parent[edge]);
    if (slots > 0) {
      for (const int32_t edge : of.out_edge) rows.slot.push_back(of.slot[edge]);
    }
  } else {
    rows.ptr.assign(static_cast<size_t>(num_vertices) + 1, 0);
    for (int64_t row = 0; row < num_vertices; ++row) {
      for (int32_t i = of.out_ptr[row]; i < of.out_ptr[row + 1]; ++i) {
        const int32_t edge = of.out_edge[i];
        if (of.slot[edge] >= slots) continue;
        rows.row.push_back(of.parent[edge]);
        rows.slot.push_back(of.slot[edge]);
      }
      rows.ptr[row + 1] = static_cast<int32_t>(rows.row.size());
    }
  }
  return cache_->parents.emplace(Cache::Key(list, slots), std::move(rows)).first->second;
}

const std::vector<int32_t>& Schedule::places_of_vertices(const std::vector<int>& of_types) const {
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->vertex_places.find(of_types);
  if (found != cache_->vertex_places.end()) return found->second;
  std::vector<int32_t> places(static_cast<size_t>(num_vertices), -1);
  for (const int type : of_types) {
    const TypeRows& rows = types[static_cast<size_t>(type)];
    std::fill(places.begin() + rows.first, places.begin() + rows.last, 0);
  }
  int32_t next = 0;
  for (const int32_t row : vertex_row) {
    if (places[row] == 0) places[row] = next++;
  }
  return cache_->vertex_places.emplace(of_types, std::move(places)).first->second;
}

const std::vector<int32_t>& Schedule::places_of_edges(const std::vector<int>& lists,
                                                      int list) const {
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->edge_places.find({lists, list});
  if (found != cache_->edge_places.end()) return found->second;
  std::vector<int32_t> by_edge(static_cast<size_t>(num_edges), -1);  // [user's edge]
  for (const int each : lists) {
    for (const int32_t edge : edges[static_cast<size_t>(each)].order) by_edge[edge] = 0;
  }
  int32_t next = 0;
  for (int32_t& place : by_edge) {
    if (place == 0) place = next++;
  }
  const std::vector<int32_t>& order = edges[static_cast<size_t>(list)].order;
  std::vector<int32_t> places;
  places.reserve(order.size());
  for (const int32_t edge : order) places.push_back(by_edge[edge]);
  return cache_->edge_places.emplace(std::pair(lists, list), std::move(places)).first->second;
}

const Schedule::GraphVertices& Schedule::vertices_of_graphs(
    const std::vector<int>& of_types) const {
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->graph_vertices.find(of_types);
  if (found != cache_->graph_vertices.end()) return found->second;
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
  return cache_->graph_vertices.emplace(of_types, std::move(lists)).first->second;
}

const std::vector<char>& Schedule::types_of_children(int list, int slot) const {
  const EdgeRows& of = edges[static_cast<size_t>(list)];
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->child_types.find({list, slot});
  if (found != cache_->child_types.end()) return found->second;
  std::vector<char> there(types.size(), 0);
  for (int64_t edge = 0; edge < of.size(); ++edge) {
    if (slot >= 0 && of.slot[edge] != slot) continue;
    const int32_t row = of.child[edge];
    for (size_t t = 0; t < types.size(); ++t) {
      if (row >= types[t].first && row < types[t].last) there[t] = 1;
    }
  }
  return cache_->child_types.emplace(Cache::Key(list, slot), std::move(there)).first->second;
}

namespace {

std::vector<int32_t> graphs_of(const GraphBatch& batch) {
  std::vector<int32_t> graph_of(static_cast<size_t>(batch.num_vertices()));
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    std::fill(graph_of.begin() + batch.ptr[g], graph_of.begin() + batch.ptr[g + 1],
              static_cast<int32_t>(g));
  }
  return graph_of;
}

void order_by_level(const GraphBatch& batch, Schedule* schedule) {
  const std::vector<int32_t> levels = vertex_levels(batch);
  const int64_t num_levels =
      levels.empty() ? 0 : *std::max_element(levels.begin(), levels.end()) + 1;
  schedule->level_ptr.assign(num_levels + 1, 0);
  for (int32_t level : levels) ++schedule->level_ptr[level + 1];
  std::partial_sum(schedule->level_ptr.begin(), schedule->level_ptr.end(),
                   schedule->level_ptr.begin());
  std::vector<int32_t> next = schedule->level_ptr;
  schedule->vertex_order.resize(levels.size());
  for (size_t v = 0; v < levels.size(); ++v) {
    schedule->vertex_order[next[levels[v]]++] = static_cast<int32_t>(v);
  }
}

// Stably regroups the vertices by graph; graphs own contiguous numbers, so ptr is where each
// starts.
void order_by_graph(const GraphBatch& batch, const std::vector<int32_t>& graph_of,
                    Schedule* schedule) {
  std::vector<int32_t> next = batch.ptr;
  const std::vector<int32_t> by_level = std::move(schedule->vertex_order);
  schedule->vertex_order.resize(by_level.size());
  for (int32_t v : by_level) schedule->vertex_order[next[graph_of[v]]++] = v;
  schedule->level_ptr.resize(by_level.size() + 1);
  std::iota(schedule->level_ptr.begin(), schedule->level_ptr.end(), 0);
}

void fill_vertices(const GraphBatch& batch, const std::vector<int32_t>& graph_of,
                   Schedule* schedule) {
  const int64_t num_vertices = schedule->num_vertices;
  schedule->vertex_row.resize(num_vertices);
  schedule->graph.resize(num_vertices);
  schedule->local.resize(num_vertices);
  for (int64_t row = 0; row < num_vertices; ++row) {
    const int32_t v = schedule->vertex_order[row];
    schedule->vertex_row[v] = static_cast<int32_t>(row);
    schedule->graph[row] = graph_of[v];
    schedule->local[row] = v - batch.ptr[graph_of[v]];
  }
  // vertex_row lists the rows of a graph in the user's order.
  schedule->graph_ptr = batch.ptr;
  schedule->graph_vertex = schedule->vertex_row;
}

void resize_edges(int64_t count, EdgeRows* edges) {
  for (auto* rows :
       {&edges->order, &edges->child, &edges->parent, &edges->slot, &edges->graph, &edges->local}) {
    rows->resize(static_cast<size_t>(count));
  }
}

void fill_all_edges(const GraphBatch& batch, Schedule* schedule) {
  EdgeRows& edges = schedule->edges.emplace_back();
  const int64_t num_edges = schedule->num_edges, num_vertices = schedule->num_vertices;
  edges.ptr.resize(static_cast<size_t>(num_vertices) + 1);
  int32_t next = 0, max_arity = 0;
  for (int64_t row = 0; row < num_vertices; ++row) {
    const int32_t v = schedule->vertex_order[row];
    const int32_t arity = batch.child_ptr[v + 1] - batch.child_ptr[v];
    edges.ptr[row] = next;
    next += arity;
    max_arity = std::max(max_arity, arity);
  }
  edges.ptr[num_vertices] = next;
  edges.max_arity = max_arity;
  resize_edges(num_edges, &edges);
  for (int64_t row = 0; row < num_vertices; ++row) {
    const int32_t first = batch.child_ptr[schedule->vertex_order[row]];
    const int32_t begin = edges.ptr[row];
    for (int32_t r = begin; r < edges.ptr[row + 1]; ++r) {
      edges.order[r] = first + (r - begin);
      edges.parent[r] = static_cast<int32_t>(row);
    }
  }
  // Apart from the loop above, because a flat loop runs nearly twice as fast as many short ones.
  for (int64_t r = 0; r < num_edges; ++r) {
    const int32_t edge = edges.order[r], parent = edges.parent[r];
    const int32_t graph = schedule->graph[parent];
    edges.child[r] = schedule->vertex_row[batch.children[edge]];
    edges.slot[r] = static_cast<int32_t>(r) - edges.ptr[parent];
    edges.graph[r] = graph;
    edges.local[r] = edge - batch.edge_ptr[graph];
  }
  edges.num_slots = edges.max_arity;
  if (batch.slots.empty()) return;
  edges.has_holes = true;
  for (int64_t r = 0; r < num_edges; ++r) {
    edges.slot[r] = batch.slots[edges.order[r]];
    edges.num_slots = std::max(edges.num_slots, int64_t{edges.slot[r]} + 1);
  }
}

// The edges of a list. Without a type of children their slots are those of the child lists, holes
// counted; else children of the type are counted.
void fill_edges_of_list(const GraphBatch& batch, const std::vector<int32_t>& types,
                        const TypeOrder::Edges& list, Schedule* schedule) {
  EdgeRows& edges = schedule->edges.emplace_back();
  const TypeRows& parents = schedule->types[static_cast<size_t>(list.parents)];
  const bool any = list.children < 0;
  edges.ptr.assign(static_cast<size_t>(schedule->num_vertices) + 1, 0);
  edges.order.reserve(static_cast<size_t>(parents.last - parents.first));
  edges.slot.reserve(static_cast<size_t>(parents.last - parents.first));
  for (int64_t row = parents.first; row < parents.last; ++row) {
    const int32_t v = schedule->vertex_order[row];
    int32_t place = 0;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      if (!any && types[batch.children[e]] != list.children) continue;
      const int32_t slot = any && !batch.slots.empty() ? batch.slots[e] : place;
      edges.has_holes = edges.has_holes || slot != place;
      edges.num_slots = std::max(edges.num_slots, int64_t{slot} + 1);
      edges.order.push_back(e);
      edges.slot.push_back(slot);
      ++place;
    }
    edges.max_arity = std::max(edges.max_arity, int64_t{place});
    edges.ptr[row + 1] = static_cast<int32_t>(edges.order.size());
  }
  std::fill(edges.ptr.begin() + parents.last, edges.ptr.end(),
            static_cast<int32_t>(edges.order.size()));
  resize_edges(static_cast<int64_t>(edges.order.size()), &edges);
  for (int64_t row = parents.first; row < parents.last; ++row) {
    const int32_t graph = schedule->graph[row];
    for (int32_t r = edges.ptr[row]; r < edges.ptr[row + 1]; ++r) {
      edges.parent[r] = static_cast<int32_t>(row);
      edges.child[r] = schedule->vertex_row[batch.children[edges.order[r]]];
      edges.graph[r] = graph;
      edges.local[r] = edges.order[r] - batch.edge_ptr[graph];
    }
  }
}

// The children have rows from `first` to `last`.
void fill_out_edges(int64_t first, int64_t last, int64_t num_vertices, EdgeRows* edges) {
  // Counted two places ahead, so that filling leaves out_ptr[r] at the first edge of r.
  edges->out_ptr.assign(static_cast<size_t>(num_vertices) + 2, 0);
  for (int32_t child : edges->child) ++edges->out_ptr[child + 2];
  const auto ptr = edges->out_ptr.begin();
  std::partial_sum(ptr + first, ptr + last + 2, ptr + first);
  std::fill(ptr + last + 2, edges->out_ptr.end(), static_cast<int32_t>(edges->child.size()));
  edges->out_edge.resize(edges->child.size());
  for (int64_t r = 0; r < edges->size(); ++r) {
    edges->out_edge[edges->out_ptr[edges->child[r] + 1]++] = static_cast<int32_t>(r);
  }
  edges->out_ptr.pop_back();
}

int64_t leading_leaves(const EdgeRows& edges, int64_t num_vertices) {
  const auto& ptr = edges.ptr;
  int64_t leaves = 0;
  while (leaves < num_vertices && ptr[leaves + 1] == 0) ++leaves;
  for (int64_t row = leaves; row < num_vertices; ++row) {
    if (ptr[row + 1] == ptr[row]) return -1;
  }
  return leaves;
}

// Type by type: leaves, then batch by batch; vertices that run in no batch stand in the user's
// order. A first batch may have leaves, which keep their place in front of its other vertices.
void order_by_type(const GraphBatch& batch, const std::vector<int32_t>& types,
                   const std::vector<TypedBatch>& batches, Schedule* schedule) {
  const int64_t count = batch.num_vertices();
  const auto is_leaf = [&](int32_t v) { return batch.child_ptr[v] == batch.child_ptr[v + 1]; };
  std::vector<char> in_batch(static_cast<size_t>(count), 0);
  std::vector<std::vector<int32_t>> rest(schedule->order.count());
  std::vector<std::vector<size_t>> batches_of(schedule->order.count());  // [type] their numbers
  for (size_t i = 0; i < batches.size(); ++i) {
    batches_of[static_cast<size_t>(batches[i].type)].push_back(i);
    for (const int32_t v : batches[i].vertices) in_batch[v] = 1;
  }
  for (int64_t v = 0; v < count; ++v) {
    if (!in_batch[v]) rest[types[v]].push_back(static_cast<int32_t>(v));
  }
  auto& rows = schedule->vertex_order;
  rows.reserve(static_cast<size_t>(count));
  schedule->batches.resize(batches.size());
  bool leaves_first = true;
  for (size_t t = 0; t < schedule->order.count(); ++t) {
    TypeRows of_type;
    of_type.first = static_cast<int64_t>(rows.size());
    const auto add = [&](const std::vector<int32_t>& vertices) {
      const auto begin = static_cast<int64_t>(rows.size());
      rows.insert(rows.end(), vertices.begin(), vertices.end());
      std::stable_partition(rows.begin() + begin, rows.end(), is_leaf);
      return begin;
    };
    add(rest[t]);
    for (const size_t i : batches_of[t]) {
      const int64_t begin = add(batches[i].vertices);
      schedule->batches[i] = {static_cast<int>(t), begin, static_cast<int64_t>(rows.size())};
    }
    of_type.last = static_cast<int64_t>(rows.size());
    of_type.inner = of_type.first;
    while (of_type.inner < of_type.last && is_leaf(rows[of_type.inner])) ++of_type.inner;
    for (int64_t r = of_type.inner; r < of_type.last; ++r) {
      leaves_first = leaves_first && !is_leaf(rows[r]);
    }
    schedule->types.push_back(of_type);
  }
  if (!leaves_first) schedule->num_leaves = -1;
}

// Batches that follow each other and do not wait for each other are one step, except that `serial`
// runs one vertex at a time.
void group_steps(bool serial, Schedule* schedule) {
  schedule->step_ptr.push_back(0);
  std::vector<int32_t> batch_of(static_cast<size_t>(schedule->num_vertices), -1);
  for (size_t b = 0; b < schedule->batches.size(); ++b) {
    const Batch& batch = schedule->batches[b];
    std::fill(batch_of.begin() + batch.begin, batch_of.begin() + batch.end,
              static_cast<int32_t>(b));
  }
  const auto waits = [&](const Batch& batch, int32_t first) {
    for (size_t list = 0; list < schedule->edges.size(); ++list) {
      if (schedule->typed && schedule->order.lists[list].parents != batch.type) continue;
      const EdgeRows& edges = schedule->edges[list];
      for (int32_t e = edges.ptr[batch.begin]; e < edges.ptr[batch.end]; ++e) {
        if (batch_of[edges.child[e]] >= first) return true;
      }
    }
    return false;
  };
  int32_t first = 0;
  for (size_t b = 1; b < schedule->batches.size(); ++b) {
    if (!serial && !waits(schedule->batches[b], first)) continue;
    first = static_cast<int32_t>(b);
    schedule->step_ptr.push_back(first);
  }
  if (!schedule->batches.empty()) {
    schedule->step_ptr.push_back(static_cast<int32_t>(schedule->batches.size()));
  }
}

Schedule begin_schedule(const GraphBatch& batch) {
  Schedule schedule;
  schedule.num_graphs = batch.num_graphs();
  schedule.num_vertices = batch.num_vertices();
  schedule.num_edges = batch.num_edges();
  return schedule;
}

}  // namespace

Schedule make_schedule(const GraphBatch& batch, Policy policy) {
  Schedule schedule = begin_schedule(batch);
  const std::vector<int32_t> graph_of = graphs_of(batch);
  order_by_level(batch, &schedule);
  if (policy == Policy::kSerial) order_by_graph(batch, graph_of, &schedule);
  fill_vertices(batch, graph_of, &schedule);
  fill_all_edges(batch, &schedule);
  fill_out_edges(0, schedule.num_vertices, schedule.num_vertices, &schedule.edges[0]);
  schedule.num_leaves = leading_leaves(schedule.edges[0], schedule.num_vertices);
  schedule.types = {{0, std::max<int64_t>(0, schedule.num_leaves), schedule.num_vertices}};
  const auto& ptr = schedule.level_ptr;
  schedule.level_edge_ptr.reserve(ptr.size());
  for (const int32_t row : ptr) schedule.level_edge_ptr.push_back(schedule.edges[0].ptr[row]);
  schedule.batches.reserve(ptr.size());
  schedule.step_ptr.reserve(ptr.size());
  for (size_t level = 0; level + 1 < ptr.size(); ++level) {
    schedule.batches.push_back({0, ptr[level], ptr[level + 1]});
  }
  for (size_t level = 0; level < ptr.size(); ++level) {
    schedule.step_ptr.push_back(static_cast<int32_t>(level));
  }
  return schedule;
}

Schedule make_schedule(const GraphBatch& batch, Policy policy, const TypeOrder& order,
                       const ChooseType& choose) {
  vertex_levels(batch);  // finds cycles
  Schedule schedule = begin_schedule(batch);
  schedule.typed = true;
  schedule.order = order;
  const std::vector<int32_t> types = types_of(batch, order);
  order_by_type(batch, types, typed_batches(batch, order, types, policy, choose), &schedule);
  fill_vertices(batch, graphs_of(batch), &schedule);
  for (const TypeOrder::Edges& list : order.lists) {
    fill_edges_of_list(batch, types, list, &schedule);
    const bool any = list.children < 0;
    const TypeRows children = any ? TypeRows{0, 0, schedule.num_vertices}
                                  : schedule.types[static_cast<size_t>(list.children)];
    fill_out_edges(children.first, children.last, schedule.num_vertices, &schedule.edges.back());
  }
  group_steps(policy == Policy::kSerial, &schedule);
  return schedule;
}

}  // namespace cavs
