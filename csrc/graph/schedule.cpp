// Numbers the vertices of a batch level by level, and makes the tables that lead from row to row.
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
  std::mutex mutex;
  std::map<int, std::vector<int32_t>> slots;  // maps, because references into them stay valid
  std::map<int, ParentRows> parents;
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

const std::vector<int32_t>& Schedule::slot(int k) const {
  CAVS_CHECK(k >= 0, ErrorKind::kValue, "[schedule] expected a child slot of 0 or more, got ", k,
             "; count children from 0");
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->slots.find(k);
  if (found != cache_->slots.end()) return found->second;
  std::vector<int32_t> rows(num_vertices, -1);
  if (has_holes) {
    for (int64_t edge = 0; edge < num_edges; ++edge) {
      if (edge_slot[edge] == k) rows[parent[edge]] = child[edge];
    }
  } else {
    for (int64_t row = 0; row < num_vertices; ++row) {
      const int64_t edge = int64_t{child_ptr[row]} + k;
      if (edge < child_ptr[row + 1]) rows[row] = child[edge];
    }
  }
  return cache_->slots.emplace(k, std::move(rows)).first->second;
}

const ParentRows& Schedule::parents(int slots) const {
  CAVS_CHECK(slots >= 0, ErrorKind::kValue, "[schedule] expected 0 child slots or more, got ",
             slots, "; pass 0 for all");
  const std::lock_guard<std::mutex> lock(cache_->mutex);
  const auto found = cache_->parents.find(slots);
  if (found != cache_->parents.end()) return found->second;
  ParentRows rows;
  const bool all = slots == 0 || slots >= num_slots;
  rows.row.reserve(static_cast<size_t>(num_edges));
  if (slots > 0) rows.slot.reserve(static_cast<size_t>(num_edges));
  if (all) {
    rows.ptr = out_ptr;
    for (const int32_t edge : out_edge) rows.row.push_back(parent[edge]);
    if (slots > 0) {
      for (const int32_t edge : out_edge) rows.slot.push_back(edge_slot[edge]);
    }
  } else {
    rows.ptr.assign(static_cast<size_t>(num_vertices) + 1, 0);
    for (int64_t row = 0; row < num_vertices; ++row) {
      for (int32_t i = out_ptr[row]; i < out_ptr[row + 1]; ++i) {
        const int32_t edge = out_edge[i];
        if (edge_slot[edge] >= slots) continue;
        rows.row.push_back(parent[edge]);
        rows.slot.push_back(edge_slot[edge]);
      }
      rows.ptr[row + 1] = static_cast<int32_t>(rows.row.size());
    }
  }
  return cache_->parents.emplace(slots, std::move(rows)).first->second;
}

Policy policy_from_name(const std::string& name) {
  if (name == "batching") return Policy::kBatching;
  if (name == "serial") return Policy::kSerial;
  fail(ErrorKind::kValue, "[schedule] expected policy batching or serial, got ", name,
       "; choose one of these");
}

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
  schedule->child_ptr.resize(num_vertices + 1);
  int32_t edge = 0, max_arity = 0;
  for (int64_t row = 0; row < num_vertices; ++row) {
    const int32_t v = schedule->vertex_order[row];
    const int32_t arity = batch.child_ptr[v + 1] - batch.child_ptr[v];
    schedule->vertex_row[v] = static_cast<int32_t>(row);
    schedule->graph[row] = graph_of[v];
    schedule->local[row] = v - batch.ptr[graph_of[v]];
    schedule->child_ptr[row] = edge;
    edge += arity;
    max_arity = std::max(max_arity, arity);
  }
  schedule->child_ptr[num_vertices] = edge;
  schedule->max_arity = max_arity;
  // vertex_row lists the rows of a graph in the user's order.
  schedule->graph_ptr = batch.ptr;
  schedule->graph_vertex = schedule->vertex_row;
  schedule->level_edge_ptr.reserve(schedule->level_ptr.size());
  for (int32_t row : schedule->level_ptr)
    schedule->level_edge_ptr.push_back(schedule->child_ptr[row]);
}

void fill_edges(const GraphBatch& batch, Schedule* schedule) {
  const int64_t num_edges = schedule->num_edges;
  for (auto* rows : {&schedule->edge_order, &schedule->child, &schedule->parent,
                     &schedule->edge_slot, &schedule->edge_graph, &schedule->edge_local}) {
    rows->resize(num_edges);
  }
  for (int64_t row = 0; row < schedule->num_vertices; ++row) {
    const int32_t first = batch.child_ptr[schedule->vertex_order[row]];
    const int32_t begin = schedule->child_ptr[row];
    for (int32_t r = begin; r < schedule->child_ptr[row + 1]; ++r) {
      schedule->edge_order[r] = first + (r - begin);
      schedule->parent[r] = static_cast<int32_t>(row);
    }
  }
  // Apart from the loop above, because a flat loop runs nearly twice as fast as many short ones.
  for (int64_t r = 0; r < num_edges; ++r) {
    const int32_t edge = schedule->edge_order[r], parent = schedule->parent[r];
    const int32_t graph = schedule->graph[parent];
    schedule->child[r] = schedule->vertex_row[batch.children[edge]];
    schedule->edge_slot[r] = static_cast<int32_t>(r) - schedule->child_ptr[parent];
    schedule->edge_graph[r] = graph;
    schedule->edge_local[r] = edge - batch.edge_ptr[graph];
  }
  schedule->num_slots = schedule->max_arity;
  if (batch.slots.empty()) return;
  schedule->has_holes = true;
  for (int64_t r = 0; r < num_edges; ++r) {
    schedule->edge_slot[r] = batch.slots[schedule->edge_order[r]];
    schedule->num_slots = std::max(schedule->num_slots, int64_t{schedule->edge_slot[r]} + 1);
  }
}

void fill_out_edges(Schedule* schedule) {
  // Counted two places ahead, so that filling leaves out_ptr[r] at the first edge of r.
  schedule->out_ptr.assign(schedule->num_vertices + 2, 0);
  for (int32_t child : schedule->child) ++schedule->out_ptr[child + 2];
  std::partial_sum(schedule->out_ptr.begin(), schedule->out_ptr.end(), schedule->out_ptr.begin());
  schedule->out_edge.resize(schedule->num_edges);
  for (int64_t r = 0; r < schedule->num_edges; ++r) {
    schedule->out_edge[schedule->out_ptr[schedule->child[r] + 1]++] = static_cast<int32_t>(r);
  }
  schedule->out_ptr.pop_back();
}

int64_t leading_leaves(const Schedule& schedule) {
  const auto& ptr = schedule.child_ptr;
  int64_t leaves = 0;
  while (leaves < schedule.num_vertices && ptr[leaves + 1] == 0) ++leaves;
  for (int64_t row = leaves; row < schedule.num_vertices; ++row) {
    if (ptr[row + 1] == ptr[row]) return -1;
  }
  return leaves;
}

}  // namespace

Schedule make_schedule(const GraphBatch& batch, Policy policy) {
  Schedule schedule;
  schedule.num_graphs = batch.num_graphs();
  schedule.num_vertices = batch.num_vertices();
  schedule.num_edges = batch.num_edges();
  std::vector<int32_t> graph_of(schedule.num_vertices);
  for (int64_t g = 0; g < schedule.num_graphs; ++g) {
    std::fill(graph_of.begin() + batch.ptr[g], graph_of.begin() + batch.ptr[g + 1],
              static_cast<int32_t>(g));
  }
  order_by_level(batch, &schedule);
  if (policy == Policy::kSerial) order_by_graph(batch, graph_of, &schedule);
  fill_vertices(batch, graph_of, &schedule);
  fill_edges(batch, &schedule);
  fill_out_edges(&schedule);
  schedule.num_leaves = leading_leaves(schedule);
  return schedule;
}

}  // namespace cavs
