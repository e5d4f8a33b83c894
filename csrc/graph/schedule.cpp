// Numbers the vertices of a batch, and lists its edges.
#include "graph/schedule.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "graph/schedule_runs.h"

namespace cavs {

namespace {

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

// Stably regroups the vertices by graph; a graph owns contiguous numbers.
void order_by_graph(const GraphBatch& batch, Schedule* schedule) {
  const auto graph_of = [&](int32_t v) {
    return std::upper_bound(batch.ptr.begin(), batch.ptr.end(), v) - batch.ptr.begin() - 1;
  };
  std::vector<int32_t> next = batch.ptr;
  const std::vector<int32_t> by_level = std::move(schedule->vertex_order);
  schedule->vertex_order.resize(by_level.size());
  for (int32_t v : by_level) schedule->vertex_order[next[graph_of(v)]++] = v;
  schedule->level_ptr.resize(by_level.size() + 1);
  std::iota(schedule->level_ptr.begin(), schedule->level_ptr.end(), 0);
}

void fill_vertices(const GraphBatch& batch, Schedule* schedule) {
  const int64_t num_vertices = schedule->num_vertices;
  schedule->vertex_row.resize(static_cast<size_t>(num_vertices));
  for (int64_t row = 0; row < num_vertices; ++row) {
    schedule->vertex_row[schedule->vertex_order[row]] = static_cast<int32_t>(row);
  }
  // vertex_row lists the rows of a graph in the user's order.
  schedule->graph_ptr = batch.ptr;
  schedule->graph_vertex = schedule->vertex_row;
  schedule->graph_edge = batch.edge_ptr;
}

void list_children(const GraphBatch& batch, const Schedule& schedule, EdgeRows* edges) {
  edges->child.resize(edges->order.size());
  for (size_t r = 0; r < edges->order.size(); ++r) {
    edges->child[r] = schedule.vertex_row[batch.lists[edges->order[r]]];
  }
}

void fill_all_edges(const GraphBatch& batch, Schedule* schedule) {
  EdgeRows& edges = schedule->edges.emplace_back();
  const int64_t num_vertices = schedule->num_vertices;
  edges.ptr.resize(static_cast<size_t>(num_vertices) + 1);
  if (!batch.has_runs()) edges.order.resize(static_cast<size_t>(schedule->num_edges));
  int32_t next = 0, max_arity = 0;
  for (int64_t row = 0; row < num_vertices; ++row) {
    const int32_t v = schedule->vertex_order[row];
    const int32_t first = batch.child_ptr[v], arity = batch.child_ptr[v + 1] - first;
    edges.ptr[row] = next;
    if (!batch.has_runs()) {
      std::iota(edges.order.begin() + next, edges.order.begin() + next + arity, first);
    }
    next += arity;
    max_arity = std::max(max_arity, arity);
  }
  edges.ptr[num_vertices] = next;
  edges.num_slots = edges.max_arity = max_arity;
  if (batch.has_runs()) {
    edges.first.reserve(static_cast<size_t>(num_vertices));
    for (int64_t row = 0; row < num_vertices; ++row) {
      const bool leaf = edges.ptr[row] == edges.ptr[row + 1];
      edges.first.push_back(leaf ? 0 : batch.first[schedule->vertex_order[row]]);
    }
    return;
  }
  list_children(batch, *schedule, &edges);
  if (batch.slots.empty()) return;
  edges.slots.reserve(edges.order.size());
  for (const int32_t edge : edges.order) {
    edges.slots.push_back(batch.slots[edge]);
    edges.num_slots = std::max(edges.num_slots, int64_t{batch.slots[edge]} + 1);
  }
}

// The edges of a list. Without a type of children their slots are those of the child lists, holes
// counted; else children of the type are counted.
void fill_edges_of_list(const GraphBatch& batch, const std::vector<int32_t>& types,
                        const TypeOrder::Edges& list, Schedule* schedule) {
  EdgeRows& edges = schedule->edges.emplace_back();
  const TypeRows& parents = schedule->types[static_cast<size_t>(list.parents)];
  const bool any = list.children < 0, holes = any && !batch.slots.empty();
  edges.ptr.reserve(static_cast<size_t>(schedule->num_vertices) + 1);
  edges.ptr.assign(static_cast<size_t>(parents.first) + 1, 0);
  edges.order.reserve(static_cast<size_t>(parents.last - parents.first));
  for (int64_t row = parents.first; row < parents.last; ++row) {
    const int32_t v = schedule->vertex_order[row];
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      if (!any && types[batch.lists[e]] != list.children) continue;
      edges.order.push_back(e);
      if (!holes) continue;
      edges.slots.push_back(batch.slots[e]);
      edges.num_slots = std::max(edges.num_slots, int64_t{batch.slots[e]} + 1);
    }
    const auto count = static_cast<int32_t>(edges.order.size());
    edges.max_arity = std::max(edges.max_arity, int64_t{count - edges.ptr.back()});
    edges.ptr.push_back(count);
  }
  edges.num_slots = std::max(edges.num_slots, edges.max_arity);
  edges.ptr.resize(static_cast<size_t>(schedule->num_vertices) + 1,
                   static_cast<int32_t>(edges.order.size()));
  list_children(batch, *schedule, &edges);
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
                   const TypedBatches& batches, Schedule* schedule) {
  const auto count = static_cast<int32_t>(batch.num_vertices());
  const size_t num_types = schedule->order.count();
  const auto is_leaf = [&](int32_t v) { return batch.child_ptr[v] == batch.child_ptr[v + 1]; };
  std::vector<char> in_batch(static_cast<size_t>(count), 0);
  for (const int32_t v : batches.vertices) in_batch[v] = 1;
  std::vector<int64_t> leaves(num_types, 0), inner(num_types, 0);  // [type] that run in no batch
  for (int32_t v = 0; v < count; ++v) {
    if (!in_batch[v]) ++(is_leaf(v) ? leaves : inner)[types[v]];
  }
  std::vector<int64_t> next(num_types);  // [type] the row of its next batch
  std::vector<int64_t> sizes(num_types, 0);
  for (size_t b = 0; b < batches.size(); ++b) {
    sizes[static_cast<size_t>(batches.types[b])] += batches.ptr[b + 1] - batches.ptr[b];
  }
  int64_t row = 0;
  for (size_t t = 0; t < num_types; ++t) {
    const int64_t first_inner = row + leaves[t];
    next[t] = first_inner + inner[t];
    schedule->types.push_back({row, first_inner, next[t] + sizes[t]});
    leaves[t] = row;
    inner[t] = first_inner;  // from now on where the next one goes
    row = next[t] + sizes[t];
  }
  auto& rows = schedule->vertex_order;
  rows.resize(static_cast<size_t>(count));
  for (int32_t v = 0; v < count; ++v) {
    if (!in_batch[v]) rows[(is_leaf(v) ? leaves : inner)[types[v]]++] = v;
  }
  schedule->batches.reserve(batches.size());
  for (size_t b = 0; b < batches.size(); ++b) {
    const int type = batches.types[b];
    const int64_t begin = next[static_cast<size_t>(type)];
    const auto to = rows.begin() + begin;
    const auto end = std::copy(batches.vertices.begin() + batches.ptr[b],
                               batches.vertices.begin() + batches.ptr[b + 1], to);
    if (!std::is_partitioned(to, end, is_leaf)) std::stable_partition(to, end, is_leaf);
    next[static_cast<size_t>(type)] = end - rows.begin();
    schedule->batches.push_back({type, begin, end - rows.begin()});
  }
  for (TypeRows& it : schedule->types) {
    while (it.inner < it.last && is_leaf(rows[it.inner])) ++it.inner;
    if (std::any_of(rows.begin() + it.inner, rows.begin() + it.last, is_leaf)) {
      schedule->num_leaves = -1;
    }
  }
}

// [vertex row] the last batch that has a child by a list of edges, or -1; `batch_of`: of each row.
std::vector<int32_t> latest_batches(const Schedule& schedule,
                                    const std::vector<int32_t>& batch_of) {
  std::vector<int32_t> latest(batch_of.size(), -1);
  for (size_t list = 0; list < schedule.edges.size(); ++list) {
    if (schedule.has_runs()) {
      raise_to_children(schedule, static_cast<int>(list), batch_of, &latest);
      continue;
    }
    const EdgeRows& edges = schedule.edges[list];
    for (size_t row = 0; row < latest.size(); ++row) {
      for (int32_t e = edges.ptr[row]; e < edges.ptr[row + 1]; ++e) {
        latest[row] = std::max(latest[row], batch_of[edges.child[e]]);
      }
    }
  }
  return latest;
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
  const std::vector<int32_t> latest = latest_batches(*schedule, batch_of);
  const auto waits = [&](const Batch& batch, int32_t first) {
    return std::any_of(latest.begin() + batch.begin, latest.begin() + batch.end,
                       [&](int32_t number) { return number >= first; });
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
  if (batch.has_runs()) {
    schedule.run_first = batch.first;
    schedule.run_ptr = batch.child_ptr;
  }
  return schedule;
}

}  // namespace

Schedule make_schedule(const GraphBatch& batch, Policy policy) {
  Schedule schedule = begin_schedule(batch);
  order_by_level(batch, &schedule);
  if (policy == Policy::kSerial) order_by_graph(batch, &schedule);
  fill_vertices(batch, &schedule);
  fill_all_edges(batch, &schedule);
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
  Schedule schedule = begin_schedule(batch);
  schedule.typed = true;
  schedule.order = order;
  const std::vector<int32_t> types = types_of(batch, order);
  order_by_type(batch, types, typed_batches(batch, order, types, policy, choose), &schedule);
  fill_vertices(batch, &schedule);
  for (const TypeOrder::Edges& list : order.lists) {
    if (batch.has_runs()) {
      schedule.edges.push_back(edges_of_runs(batch, types, list, schedule));
    } else {
      fill_edges_of_list(batch, types, list, &schedule);
    }
  }
  group_steps(policy == Policy::kSerial, &schedule);
  return schedule;
}

}  // namespace cavs
