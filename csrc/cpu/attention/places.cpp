// Finds the graphs in which children follow each other, and keeps what was found with the schedule.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "cpu/attention/attention.h"

namespace cavs {
namespace {

using GraphVertices = Schedule::GraphVertices;

// The children of a vertex: places in its graph.
struct Span {
  int32_t begin = 0, end = 0;
};

// Whether attention takes these children of vertices of a graph as runs.
bool are_runs(const std::vector<Span>& spans) {
  constexpr int64_t kShort = 8;  // children of a vertex on average: below, row by row is faster
  int32_t lowest = 0, highest = 0;
  int64_t listed = 0, vertices = 0;
  for (const auto [begin, end] : spans) {
    if (begin == end) continue;
    lowest = vertices == 0 ? begin : std::min(lowest, begin);
    highest = std::max(highest, end);
    listed += end - begin;
    ++vertices;
  }
  if (listed < kShort * vertices) return false;
  std::vector<char> there(static_cast<size_t>(highest - lowest), 0);
  int32_t done = lowest;  // lists mostly begin where others have been
  for (const auto [begin, end] : spans) {
    for (int32_t i = std::max(begin, done); i < end; ++i) there[i - lowest] = 1;
    if (begin <= done) done = std::max(done, end);
  }
  return std::find(there.begin() + (done - lowest), there.end(), 0) == there.end();
}

AttentionPlaces find_places(const Schedule& schedule, int list, const GraphVertices& all) {
  const EdgeRows& edges = schedule.edges[static_cast<size_t>(list)];
  const ChildRuns& runs = schedule.runs(list);
  AttentionPlaces found;
  found.parents = &all;
  if (schedule.typed) {
    const int type = schedule.order.lists[static_cast<size_t>(list)].parents;
    found.parents = &schedule.vertices_of_graphs({type});
  }
  const bool known = runs.order != nullptr;  // not in a graph that grows
  found.child_ptr = known ? runs.graph_ptr : &all.ptr;
  found.child = known ? runs.order : &all.vertex;
  found.first.assign(static_cast<size_t>(schedule.num_vertices), 0);
  std::vector<Span> spans;
  for (int64_t g = 0; g < schedule.num_graphs; ++g) {
    spans.clear();
    int64_t listed = 0;
    for (int32_t i = found.parents->ptr[g]; i < found.parents->ptr[g + 1]; ++i) {
      const int32_t row = found.parents->vertex[i];
      listed += edges.ptr[row + 1] - edges.ptr[row];
    }
    found.most_edges = std::max(found.most_edges, listed);
    found.most_parents =
        std::max(found.most_parents, int64_t{found.parents->ptr[g + 1]} - found.parents->ptr[g]);
    bool is_run = known;
    for (int32_t i = found.parents->ptr[g]; is_run && i < found.parents->ptr[g + 1]; ++i) {
      const int32_t row = found.parents->vertex[i], arity = edges.ptr[row + 1] - edges.ptr[row];
      if (arity == 0) continue;
      is_run = runs.first[row] >= 0;
      found.first[row] = runs.first[row] - (*found.child_ptr)[g];
      spans.push_back({found.first[row], found.first[row] + arity});
    }
    is_run = is_run && are_runs(spans);
    found.is_run.push_back(is_run);
    found.all_runs = found.all_runs && is_run;
  }
  return found;
}

AttentionEdges find_edges(const Schedule& schedule, int list, const AttentionPlaces& places) {
  AttentionEdges found;
  if (places.all_runs && schedule.has_runs()) {
    for (const int32_t row : *places.child) found.vertex.push_back(schedule.vertex_order[row]);
    for (const int32_t v : schedule.vertex_order) {
      found.to_edge.push_back(schedule.run_ptr[v] - schedule.run_first[v]);
    }
  } else {
    found.edge = &schedule.order_of_edges(list);
  }
  const auto lines = [](int64_t bytes) {
    return static_cast<int32_t>((bytes + kLine - 1) / kLine);
  };
  // Bits begin a line later, and end a line earlier: vectors read beyond them.
  const int32_t begin = lines(places.most_parents * static_cast<int64_t>(sizeof(int32_t))) + 1;
  found.lines = {begin + lines(places.most_edges) + 1, begin};
  return found;
}

// What the CPU keeps of a schedule.
class KeptPlaces final : public Schedule::Mirror {
 public:
  const AttentionPlaces& find(const Schedule& schedule, int list) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return places(schedule, list);
  }
  const AttentionEdges& find_numbers(const Schedule& schedule, int list) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = edges_.find(list);
    if (found != edges_.end()) return found->second;
    return edges_.emplace(list, find_edges(schedule, list, places(schedule, list))).first->second;
  }

 private:
  const AttentionPlaces& places(const Schedule& schedule, int list) {
    if (all_.ptr.empty()) all_ = {schedule.graph_ptr, schedule.graph_vertex};
    const auto found = lists_.find(list);
    if (found != lists_.end()) return found->second;
    return lists_.emplace(list, find_places(schedule, list, all_)).first->second;
  }

  std::mutex mutex_;
  GraphVertices all_;
  std::map<int, AttentionPlaces> lists_;
  std::map<int, AttentionEdges> edges_;
};

KeptPlaces& kept_of(const Schedule& schedule) {
  return static_cast<KeptPlaces&>(schedule.mirror(
      Device{},
      []() -> std::unique_ptr<Schedule::Mirror> { return std::make_unique<KeptPlaces>(); }));
}

}  // namespace

const AttentionPlaces& attention_places(const Schedule& schedule, int list) {
  return kept_of(schedule).find(schedule, list);
}

const AttentionEdges& attention_edges(const Schedule& schedule, int list) {
  return kept_of(schedule).find_numbers(schedule, list);
}

}  // namespace cavs
