// Finds the runs of a schedule's children, and writes them out where somebody asks for edges.
#include "graph/schedule_runs.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "graph/child_runs.h"

namespace cavs {
namespace {

using Rows = std::vector<int32_t>;

// The vertices that can be children by a list, in the user's order; see ChildRuns.
struct Possible {
  const Rows *ptr, *order;
};

Possible possible_children(const Schedule& schedule, int list) {
  const int type = schedule.typed ? schedule.order.lists[static_cast<size_t>(list)].children : -1;
  if (type < 0) return {&schedule.graph_ptr, &schedule.graph_vertex};
  const Schedule::GraphVertices& of_type = schedule.vertices_of_graphs({type});
  return {&of_type.ptr, &of_type.vertex};
}

const EdgeRows& edges_of(const Schedule& schedule, int list) {
  return schedule.edges[static_cast<size_t>(list)];
}

// [vertex row] the start of its children's run, from lists.
Rows runs_in_lists(const Schedule& schedule, const EdgeRows& edges, const Rows& order) {
  Rows place(static_cast<size_t>(schedule.num_vertices), -1);
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int32_t>(i);
  Rows first(static_cast<size_t>(schedule.num_vertices), 0);
  for (size_t row = 0; row < first.size(); ++row) {
    const int32_t begin = edges.ptr[row], end = edges.ptr[row + 1];
    if (begin == end) continue;
    first[row] = place[edges.child[begin]];
    for (int32_t e = begin; e < end; ++e) {
      if (place[edges.child[e]] == first[row] + e - begin) continue;
      first[row] = -1;
      break;
    }
  }
  return first;
}

}  // namespace

EdgeRows edges_of_runs(const GraphBatch& batch, const Rows& types, const TypeOrder::Edges& list,
                       const Schedule& schedule) {
  const auto count = static_cast<size_t>(schedule.num_vertices);
  Rows before(count + 1, 0);  // [user's vertex] those before it that can be children
  for (size_t v = 0; v < count; ++v) {
    before[v + 1] = before[v] + (list.children < 0 || types[v] == list.children);
  }
  EdgeRows edges;
  const TypeRows& parents = schedule.types[static_cast<size_t>(list.parents)];
  edges.first.assign(count, 0);
  edges.ptr.assign(count + 1, 0);
  for (int64_t row = parents.first; row < parents.last; ++row) {
    const int32_t v = schedule.vertex_order[row];
    const int32_t begin = batch.first[v], end = begin + batch.child_ptr[v + 1] - batch.child_ptr[v];
    const int32_t arity = before[end] - before[begin];
    if (arity > 0) edges.first[row] = before[begin];
    edges.ptr[row + 1] = edges.ptr[row] + arity;
    edges.max_arity = std::max(edges.max_arity, int64_t{arity});
  }
  std::fill(edges.ptr.begin() + parents.last + 1, edges.ptr.end(), edges.ptr[parents.last]);
  edges.num_slots = edges.max_arity;
  return edges;
}

ChildRuns find_runs(const Schedule& schedule, int list) {
  const auto [graph_ptr, order] = possible_children(schedule, list);
  const EdgeRows& edges = edges_of(schedule, list);
  ChildRuns runs;
  if (!edges.local.empty() || schedule.graph_ptr.empty()) {  // of graphs that grow
    runs.first.assign(static_cast<size_t>(schedule.num_vertices), -1);
    return runs;
  }
  runs.order = order;
  runs.graph_ptr = graph_ptr;
  runs.first = schedule.has_runs() ? edges.first : runs_in_lists(schedule, edges, *order);
  runs.whole.assign(static_cast<size_t>(schedule.num_graphs), 1);
  for (int64_t g = 0; g < schedule.num_graphs; ++g) {
    for (int32_t i = schedule.graph_ptr[g]; i < schedule.graph_ptr[g + 1]; ++i) {
      if (runs.first[schedule.graph_vertex[i]] < 0) runs.whole[static_cast<size_t>(g)] = 0;
    }
  }
  return runs;
}

Rows children_of_runs(const Schedule& schedule, int list) {
  const EdgeRows& edges = edges_of(schedule, list);
  const Rows& order = *possible_children(schedule, list).order;
  Rows children(static_cast<size_t>(edges.size()));
  for (size_t row = 0; row < edges.first.size(); ++row) {
    const auto from = order.begin() + edges.first[row];
    std::copy(from, from + edges.ptr[row + 1] - edges.ptr[row], children.begin() + edges.ptr[row]);
  }
  return children;
}

Rows order_of_runs(const Schedule& schedule, int list) {
  const EdgeRows& edges = edges_of(schedule, list);
  Rows numbers = schedule.child_of_edges(list);
  for (size_t row = 0; row < edges.first.size(); ++row) {
    const int32_t v = schedule.vertex_order[row];
    const int32_t first = schedule.run_ptr[v] - schedule.run_first[v];
    for (int32_t e = edges.ptr[row]; e < edges.ptr[row + 1]; ++e) {
      numbers[e] = first + schedule.vertex_order[numbers[e]];
    }
  }
  return numbers;
}

Rows children_of_runs_at(int slot, const Schedule& schedule, int list) {
  const EdgeRows& edges = edges_of(schedule, list);
  const Rows& order = *possible_children(schedule, list).order;
  Rows rows(edges.first.size(), -1);
  for (size_t row = 0; row < rows.size(); ++row) {
    const int32_t arity = edges.ptr[row + 1] - edges.ptr[row];
    const int32_t place = slot < 0 ? arity + slot : slot;
    if (place >= 0 && place < arity) rows[row] = order[edges.first[row] + place];
  }
  return rows;
}

ParentRows parents_of_runs_at(int slots, const Schedule& schedule, int list) {
  const auto count = static_cast<size_t>(schedule.num_vertices);
  const int first = std::min(slots, 0), last = std::max(slots, 0);
  std::vector<const Rows*> children;  // at each of the slots
  for (int k = first; k < last; ++k) children.push_back(&schedule.slot(k, list));
  ParentRows rows;
  // Counted two places ahead, so that filling leaves ptr[r] at the first parent of r.
  rows.ptr.assign(count + 2, 0);
  for (const Rows* at : children) {
    for (const int32_t child : *at) {
      if (child >= 0) ++rows.ptr[child + 2];
    }
  }
  std::partial_sum(rows.ptr.begin(), rows.ptr.end(), rows.ptr.begin());
  rows.row.resize(static_cast<size_t>(rows.ptr.back()));
  rows.slot.resize(rows.row.size());
  for (size_t parent = 0; parent < count; ++parent) {
    for (int k = first; k < last; ++k) {
      const int32_t child = (*children[static_cast<size_t>(k - first)])[parent];
      if (child < 0) continue;
      const int32_t place = rows.ptr[child + 1]++;
      rows.row[place] = static_cast<int32_t>(parent);
      rows.slot[place] = k < 0 ? -1 - k : k;
    }
  }
  rows.ptr.pop_back();
  return rows;
}

Rows rows_in_runs(const Schedule& schedule, int list) {
  const EdgeRows& edges = edges_of(schedule, list);
  const Rows& order = *possible_children(schedule, list).order;
  std::vector<int32_t> change(order.size() + 1, 0);  // in the number of runs that hold a place
  for (size_t row = 0; row < edges.first.size(); ++row) {
    ++change[edges.first[row]];
    --change[edges.first[row] + edges.ptr[row + 1] - edges.ptr[row]];
  }
  Rows rows;
  int32_t held = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    held += change[i];
    if (held > 0) rows.push_back(order[i]);
  }
  return rows;
}

void raise_to_children(const Schedule& schedule, int list, const Rows& batch_of, Rows* latest) {
  const EdgeRows& edges = edges_of(schedule, list);
  const Rows& order = *possible_children(schedule, list).order;
  const TypeRows& parents =
      schedule.types[static_cast<size_t>(schedule.order.lists[static_cast<size_t>(list)].parents)];
  const auto row_of = [&](int32_t query) { return parents.first + query; };
  const auto run = [&](int32_t query) {
    const int64_t row = row_of(query);
    const int32_t first = edges.first[row];
    return std::pair(first, first + edges.ptr[row + 1] - edges.ptr[row]);
  };
  greatest_in_runs(
      static_cast<int32_t>(order.size()), static_cast<int32_t>(parents.last - parents.first), run,
      [&](int32_t place) { return batch_of[order[place]]; },
      [&](int32_t query, int32_t greatest) {
        int32_t& own = (*latest)[row_of(query)];
        own = std::max(own, greatest);
      });
}

}  // namespace cavs
