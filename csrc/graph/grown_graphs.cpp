// Checks, numbers and schedules the vertices of graphs that grow.
#include "graph/grown_graphs.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"

namespace cavs {

// The vertices that are opened.
struct GrownGraphs::Level {
  int64_t first = 0;                // number of the first of them
  int64_t first_edge = 0;           // in children_
  std::vector<int32_t> local;       // [vertex] its number in its graph
  std::vector<int32_t> edge_local;  // [edge] its number in its graph
};

namespace {

constexpr int64_t kMostVertices = int64_t{1} << 30;

}  // namespace

GrownGraphs::GrownGraphs(int64_t num_graphs, GrowthRules rules) : rules_(std::move(rules)) {
  CAVS_CHECK(num_graphs >= 0 && num_graphs <= kMostVertices, ErrorKind::kValue,
             "[growth] expected 0..", kMostVertices, " graphs, got ", num_graphs,
             "; pass a number in that range");
  sizes_.assign(static_cast<size_t>(num_graphs), 0);
  edges_.assign(static_cast<size_t>(num_graphs), 0);
}

// What the library itself gives wrong.
void GrownGraphs::check_form(const NewVertices& vertices) const {
  const auto& ptr = vertices.ptr;
  const bool fits = !ptr.empty() && ptr.front() == 0 && std::is_sorted(ptr.begin(), ptr.end()) &&
                    static_cast<size_t>(ptr.back()) == vertices.children.size();
  CAVS_CHECK(fits, ErrorKind::kShape, "[growth] expected offsets from 0 to ",
             vertices.children.size(), ", ascending, got others; pass those of the children");
  const auto count = static_cast<size_t>(vertices.size());
  CAVS_CHECK(vertices.graphs.empty() || vertices.graphs.size() == count, ErrorKind::kShape,
             "[growth] expected the graphs of ", count, " vertices, got ", vertices.graphs.size(),
             "; pass one for each, or none");
  const size_t types = rules_.order ? count : 0;
  CAVS_CHECK(vertices.types.size() == types, ErrorKind::kShape, "[growth] expected ", types,
             " types, got ", vertices.types.size(),
             "; pass one for each vertex of a function of "
             "types");
  for (const int32_t type : vertices.types) {
    CAVS_CHECK(type >= 0 && static_cast<size_t>(type) < rules_.order->count(), ErrorKind::kValue,
               "[growth] expected types below ", rules_.order->count(), ", got ", type,
               "; number them by the order of types");
  }
}

void GrownGraphs::check_children(const NewVertices& vertices) const {
  for (const int32_t child : vertices.children) {
    CAVS_CHECK(child >= -1 && child < num_vertices(), ErrorKind::kGraph,
               "[unfold] expected children among the ", num_vertices(),
               " vertices that are there, got ", child, "; name vertices of earlier levels");
  }
  for (const int32_t vertex : vertices.forget) {
    CAVS_CHECK(vertex >= 0 && vertex < num_vertices(), ErrorKind::kGraph,
               "[unfold] expected vertices to forget among the ", num_vertices(),
               " that are there, got ", vertex, "; name vertices of earlier levels");
  }
}

void GrownGraphs::check_remembered(const NewVertices& vertices,
                                   const std::vector<int32_t>& graphs) const {
  for (int64_t v = 0; v < vertices.size(); ++v) {
    for (int32_t e = vertices.ptr[v]; e < vertices.ptr[v + 1]; ++e) {
      const int32_t child = vertices.children[e];
      CAVS_CHECK(child < 0 || states_.holds(child), ErrorKind::kGraph, "[unfold] graph ", graphs[v],
                 ", vertex ", num_vertices() + v,
                 ": expected children that were not forgotten, got vertex ", child,
                 "; forget it when no later vertex gathers from it");
    }
  }
}

std::vector<int32_t> GrownGraphs::graphs_of(const NewVertices& vertices) const {
  if (!vertices.graphs.empty()) return vertices.graphs;
  std::vector<int32_t> found;
  found.reserve(static_cast<size_t>(vertices.size()));
  for (int64_t v = 0; v < vertices.size(); ++v) {
    int32_t e = vertices.ptr[v];
    while (e < vertices.ptr[v + 1] && vertices.children[e] < 0) ++e;
    CAVS_CHECK(e < vertices.ptr[v + 1], ErrorKind::kGraph,
               "[unfold] expected the graphs of new vertices that gather nothing, got none; give "
               "graph=");
    found.push_back(graph_[vertices.children[e]]);
  }
  return found;
}

void GrownGraphs::check_graphs(const NewVertices& vertices,
                               const std::vector<int32_t>& graphs) const {
  for (int64_t v = 0; v < vertices.size(); ++v) {
    CAVS_CHECK(graphs[v] >= 0 && graphs[v] < num_graphs(), ErrorKind::kGraph,
               "[unfold] expected graphs in 0..", num_graphs() - 1, ", got ", graphs[v],
               "; number the graphs that there are");
    for (int32_t e = vertices.ptr[v]; e < vertices.ptr[v + 1]; ++e) {
      const int32_t child = vertices.children[e];
      CAVS_CHECK(child < 0 || graph_[child] == graphs[v], ErrorKind::kGraph,
                 "[unfold] expected children in the vertex's own graph ", graphs[v],
                 ", got vertex ", child, " of graph ", graph_[child], "; keep graphs apart");
    }
  }
}

void GrownGraphs::check_slots(const NewVertices& vertices,
                              const std::vector<int32_t>& graphs) const {
  if (rules_.slots_read < 0) return;
  for (int64_t v = 0; v < vertices.size(); ++v) {
    int32_t last = vertices.ptr[v + 1];
    while (last > vertices.ptr[v] && vertices.children[last - 1] < 0) --last;
    const int64_t count = last - vertices.ptr[v];
    if (count <= rules_.slots_read) continue;
    const auto children = vertices.children.begin() + vertices.ptr[v];
    const int64_t beyond = std::count_if(children + rules_.slots_read, children + count,
                                         [](int32_t child) { return child >= 0; });
    const std::string read =
        rules_.last_read == 0 ? "no slot beyond " + std::to_string(rules_.slots_read - 1)
                              : "the first " + std::to_string(rules_.slots_read) +
                                    " and the last " + std::to_string(rules_.last_read) + " alone";
    CAVS_CHECK(beyond <= rules_.last_read, ErrorKind::kGraph, "[unfold] graph ", graphs[v],
               ", vertex ", num_vertices() + v, ": expected at most ",
               rules_.slots_read + rules_.last_read, " children, since F gathers ", read, ", got ",
               count,
               "; gather more slots or all children, or compile with extra_children='ignore'");
  }
}

void GrownGraphs::check_reads(const NewVertices& vertices,
                              const std::vector<int32_t>& graphs) const {
  if (!rules_.order) return;
  const auto& names = rules_.order->names;
  std::vector<int32_t> of_type(names.size()), left_of_type(names.size());
  for (int64_t v = 0; v < vertices.size(); ++v) {
    std::fill(of_type.begin(), of_type.end(), 0);
    std::fill(left_of_type.begin(), left_of_type.end(), 0);
    int32_t left = 0;
    for (int32_t e = vertices.ptr[v]; e < vertices.ptr[v + 1]; ++e) {
      if (vertices.children[e] < 0) continue;
      ++left;
      ++left_of_type[types_[vertices.children[e]]];
    }
    for (int32_t e = vertices.ptr[v]; e < vertices.ptr[v + 1]; ++e) {
      const int32_t child = vertices.children[e];
      if (child < 0) continue;
      const int32_t type = types_[child];
      const int32_t slot = e - vertices.ptr[v], slot_of_type = of_type[type]++;
      const int32_t behind = --left, behind_of_type = --left_of_type[type];
      bool reached = rules_.extra_children, fits = true;
      for (const ChildRead& read : rules_.reads) {
        const bool any = read.edges.children < 0;
        if (read.edges.parents != vertices.types[v] || (!any && read.edges.children != type)) {
          continue;
        }
        if (!read.reads(any ? slot : slot_of_type, any ? behind : behind_of_type)) continue;
        reached = true;
        fits = fits && read.types[static_cast<size_t>(type)];
      }
      CAVS_CHECK(reached && fits, ErrorKind::kGraph, "[unfold] graph ", graphs[v], ", vertex ",
                 num_vertices() + v, " of type '", names[static_cast<size_t>(vertices.types[v])],
                 "': expected children ",
                 reached ? "that scatter what is gathered" : "that its function gathers",
                 ", got vertex ", child, " of type '", names[static_cast<size_t>(type)],
                 "'; gather it, or leave it out");
    }
  }
}

void GrownGraphs::check_sizes(const std::vector<int32_t>& graphs) const {
  std::vector<int32_t> sizes = sizes_;
  for (const int32_t graph : graphs) ++sizes[graph];
  const auto largest = std::max_element(sizes.begin(), sizes.end());
  if (largest == sizes.end()) return;
  CAVS_CHECK(*largest <= rules_.max_vertices, ErrorKind::kGraph, "[unfold] expected graph ",
             largest - sizes.begin(), " to end within ", rules_.max_vertices, " vertices, got ",
             *largest, "; let expand end it, or raise max_vertices");
  CAVS_CHECK(num_vertices() + static_cast<int64_t>(graphs.size()) <= kMostVertices,
             ErrorKind::kGraph, "[unfold] expected at most ", kMostVertices,
             " vertices of all graphs, got more; grow fewer graphs at a time");
}

void GrownGraphs::append(const NewVertices& vertices, const std::vector<int32_t>& graphs,
                         Level* level) {
  level->first = num_vertices();
  level->first_edge = static_cast<int64_t>(children_.size());
  types_.insert(types_.end(), vertices.types.begin(), vertices.types.end());
  for (int64_t v = 0; v < vertices.size(); ++v) {
    const int32_t graph = graphs[v];
    level->local.push_back(sizes_[graph]++);
    for (int32_t e = vertices.ptr[v]; e < vertices.ptr[v + 1]; ++e) {
      if (vertices.children[e] < 0) continue;
      children_.push_back(vertices.children[e]);
      slots_.push_back(e - vertices.ptr[v]);
      level->edge_local.push_back(edges_[graph]++);
    }
    ptr_.push_back(static_cast<int32_t>(children_.size()));
    graph_.push_back(graph);
  }
}

// Type by type, within a type in the user's order.
void GrownGraphs::number_rows(Level* level, Schedule* schedule) {
  const int64_t count = schedule->num_vertices;
  auto& order = schedule->vertex_order;
  order.resize(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const int32_t* types = types_.data() + level->first;
  if (schedule->typed) {
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return types[a] < types[b]; });
  }
  schedule->vertex_row.resize(order.size());
  moves_states_ = states_.extend(level->first, order);
  for (int64_t row = 0; row < count; ++row) {
    const int32_t v = order[row];
    schedule->vertex_row[v] = static_cast<int32_t>(row);
    schedule->graph.push_back(graph_[level->first + v]);
    schedule->local.push_back(level->local[v]);
  }
  const size_t num_types = schedule->typed ? schedule->order.count() : 1;
  int64_t row = 0;
  for (size_t type = 0; type < num_types; ++type) {
    const int64_t begin = row;
    const auto own = [&] {
      return !schedule->typed || types[order[row]] == static_cast<int>(type);
    };
    while (row < count && own()) ++row;
    schedule->types.push_back({begin, begin, row});
    if (begin == row || (schedule->typed && schedule->order.batched[type] == 0)) continue;
    schedule->batches.push_back({static_cast<int>(type), begin, row});
  }
  schedule->step_ptr = {0};
  if (!schedule->batches.empty()) {
    schedule->step_ptr.push_back(static_cast<int32_t>(schedule->batches.size()));
  }
}

// The edges of a list of a function of types, or all. Slots of a list with children of one type
// count these alone; else they are places among all children, holes counted.
void GrownGraphs::list_edges(const Level& level, const TypeOrder::Edges* list,
                             Schedule* schedule) const {
  EdgeRows& edges = schedule->edges.emplace_back();
  const bool any = list == nullptr || list->children < 0;
  edges.ptr.push_back(0);
  for (int64_t row = 0; row < schedule->num_vertices; ++row) {
    const int64_t v = level.first + schedule->vertex_order[row];
    const bool reads = list == nullptr || types_[v] == list->parents;
    int32_t place = 0;
    for (int32_t e = ptr_[v]; reads && e < ptr_[v + 1]; ++e) {
      const int32_t child = children_[e];
      if (!any && types_[child] != list->children) continue;
      const int32_t slot = any ? slots_[e] : place;
      edges.num_slots = std::max(edges.num_slots, int64_t{slot} + 1);
      edges.order.push_back(static_cast<int32_t>(e - level.first_edge));
      edges.child.push_back(static_cast<int32_t>(states_.row(child)));
      edges.slots.push_back(slot);
      edges.local.push_back(level.edge_local[e - level.first_edge]);
      ++place;
    }
    edges.max_arity = std::max(edges.max_arity, int64_t{place});
    edges.ptr.push_back(static_cast<int32_t>(edges.order.size()));
  }
}

Schedule GrownGraphs::open(const NewVertices& vertices) {
  check_form(vertices);
  check_children(vertices);
  const std::vector<int32_t> graphs = graphs_of(vertices);
  check_graphs(vertices, graphs);
  check_remembered(vertices, graphs);
  check_slots(vertices, graphs);
  check_reads(vertices, graphs);
  check_sizes(graphs);
  Level level;
  append(vertices, graphs, &level);
  Schedule schedule;
  schedule.num_graphs = num_graphs();
  schedule.num_vertices = vertices.size();
  schedule.num_edges = static_cast<int64_t>(level.edge_local.size());
  schedule.typed = rules_.order.has_value();
  if (schedule.typed) schedule.order = *rules_.order;
  number_rows(&level, &schedule);
  if (schedule.typed) {
    for (const TypeOrder::Edges& list : schedule.order.lists) list_edges(level, &list, &schedule);
  } else {
    list_edges(level, nullptr, &schedule);
    schedule.level_ptr = {0, static_cast<int32_t>(schedule.num_vertices)};
    schedule.level_edge_ptr = {0, static_cast<int32_t>(schedule.num_edges)};
  }
  // This level still gathers from them: their rows are not used before the next one is opened.
  for (const int32_t vertex : vertices.forget) states_.forget(vertex);
  return schedule;
}

}  // namespace cavs
