// Finds the graphs in which children follow each other, and keeps what was found with the schedule.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "cpu/attention/attention.h"

namespace cavs {
namespace {

using GraphVertices = Schedule::GraphVertices;

// Whether the children of the vertices [begin, end) of a graph are runs; the places of its vertices
// are known. Notes where each begins.
bool are_runs(const EdgeRows& edges, const int32_t* begin, const int32_t* end,
              const std::vector<int32_t>& place, std::vector<int32_t>* first) {
  constexpr int64_t kShort = 8;  // children of a vertex on average: below, row by row is faster
  int32_t lowest = 0, highest = 0;
  int64_t listed = 0, vertices = 0;
  for (const int32_t* v = begin; v != end; ++v) {
    const int32_t from = edges.ptr[*v], count = edges.ptr[*v + 1] - from;
    if (count == 0) continue;
    const int32_t start = place[edges.child[from]];
    for (int32_t i = 1; i < count; ++i) {
      if (place[edges.child[from + i]] != start + i) return false;
    }
    (*first)[*v] = start;
    lowest = vertices == 0 ? start : std::min(lowest, start);
    highest = std::max(highest, start + count);
    listed += count;
    ++vertices;
  }
  if (listed < kShort * vertices) return false;
  std::vector<char> there(static_cast<size_t>(highest - lowest), 0);
  int32_t done = lowest;  // lists mostly begin where others have been
  for (const int32_t* v = begin; v != end; ++v) {
    const int32_t stop = (*first)[*v] + edges.ptr[*v + 1] - edges.ptr[*v];
    for (int32_t i = std::max((*first)[*v], done); i < stop; ++i) there[i - lowest] = 1;
    if ((*first)[*v] <= done) done = std::max(done, stop);
  }
  return std::find(there.begin() + (done - lowest), there.end(), 0) == there.end();
}

ChildRuns find_runs(const Schedule& schedule, int list, const GraphVertices& all) {
  ChildRuns found;
  found.parents = found.children = &all;
  if (schedule.typed) {
    const TypeOrder::Edges& types = schedule.order.lists[static_cast<size_t>(list)];
    found.parents = &schedule.vertices_of_graphs({types.parents});
    if (types.children >= 0) found.children = &schedule.vertices_of_graphs({types.children});
  }
  std::vector<int32_t> place(static_cast<size_t>(schedule.num_vertices), -1);
  const auto& [ptr, vertex] = *found.children;
  for (int64_t g = 0; g < schedule.num_graphs; ++g) {
    for (int32_t i = ptr[g]; i < ptr[g + 1]; ++i) place[vertex[i]] = i - ptr[g];
  }
  found.first.assign(static_cast<size_t>(schedule.num_vertices), 0);
  const EdgeRows& edges = schedule.edges[static_cast<size_t>(list)];
  for (int64_t g = 0; g < schedule.num_graphs; ++g) {
    const int32_t* vertices = found.parents->vertex.data();
    found.is_run.push_back(are_runs(edges, vertices + found.parents->ptr[g],
                                    vertices + found.parents->ptr[g + 1], place, &found.first));
  }
  return found;
}

// What the CPU keeps of a schedule.
class KeptRuns final : public Schedule::Mirror {
 public:
  const ChildRuns& find(const Schedule& schedule, int list) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (all_.ptr.empty()) all_ = {schedule.graph_ptr, schedule.graph_vertex};
    const auto found = lists_.find(list);
    if (found != lists_.end()) return found->second;
    return lists_.emplace(list, find_runs(schedule, list, all_)).first->second;
  }

 private:
  std::mutex mutex_;
  GraphVertices all_;
  std::map<int, ChildRuns> lists_;
};

}  // namespace

const ChildRuns& child_runs(const Schedule& schedule, int list) {
  Schedule::Mirror& kept = schedule.mirror(
      Device{}, []() -> std::unique_ptr<Schedule::Mirror> { return std::make_unique<KeptRuns>(); });
  return static_cast<KeptRuns&>(kept).find(schedule, list);
}

}  // namespace cavs
