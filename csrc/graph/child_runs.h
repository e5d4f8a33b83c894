// Child lists that are runs of vertices: what is worked out of them in time linear in the vertices.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "graph/graph_batch.h"

namespace cavs {

// The runs of a batch with children before parents: in a graph whose children are numbered above
// their parents, vertices are counted from its end. A *place* is a vertex so counted.
struct RunPlaces {
  explicit RunPlaces(const GraphBatch& batch);

  std::vector<int32_t> low, high;  // [place] its children: places low, ..., high - 1, all below it
  std::vector<int32_t> vertex;     // [place] the vertex, and [vertex] the place
  bool in_order = true;            // places are the vertices' numbers

  int64_t size() const { return static_cast<int64_t>(low.size()); }
  bool is_leaf(int64_t place) const { return low[place] == high[place]; }
};

// The start of each vertex's run, as GraphBatch::first has it; empty where a list is no run, has
// holes, or where lists of one graph lead up and down.
std::vector<int32_t> runs_of_lists(const GraphBatch& batch);

// Calls answer(query, greatest) for each query whose run of places low, ..., high - 1 is not empty,
// with the greatest of value(place) over it; run(query) gives low and high. Places are gone through
// in order, each when the runs that end before it are answered, so values may depend on answers.
// Runs are answered where they end, from a stack of the places that no later one reaches, whose
// values fall: the first of them in the run has the greatest.
template <class Run, class Value, class Answer>
void greatest_in_runs(int32_t places, int32_t queries, const Run& run, const Value& value,
                      const Answer& answer) {
  std::vector<int32_t> ends(static_cast<size_t>(places), -1), next(static_cast<size_t>(queries));
  for (int32_t q = 0; q < queries; ++q) {
    const auto [low, high] = run(q);
    if (low == high) continue;
    next[q] = ends[high - 1];
    ends[high - 1] = q;
  }
  struct Entry {
    int32_t place, value;
  };
  std::vector<Entry> stack;
  for (int32_t p = 0; p < places; ++p) {
    const int32_t own = value(p);
    while (!stack.empty() && stack.back().value <= own) stack.pop_back();
    stack.push_back({p, own});
    for (int32_t q = ends[p]; q >= 0; q = next[q]) {
      const int32_t low = run(q).first;
      answer(q, std::partition_point(stack.begin(), stack.end(), [low](const Entry& entry) {
                  return entry.place < low;
                })->value);
    }
  }
}

// The same for the children of all places: value(place) is asked once the place was answered.
template <class Value, class Answer>
void greatest_of_children(const RunPlaces& runs, const Value& value, const Answer& answer) {
  const auto count = static_cast<int32_t>(runs.size());
  greatest_in_runs(
      count, count, [&](int32_t p) { return std::pair(runs.low[p], runs.high[p]); }, value, answer);
}

// [vertex] its level, as vertex_levels says.
std::vector<int32_t> levels_of_runs(const GraphBatch& batch);

// As reverse does, as runs; false, with `reversed` as it was, where a new list is no run.
bool reverse_runs(const GraphBatch& batch, GraphBatch* reversed);

// Which places have run, and by that when the last child of a place has: a place *watches* one of
// its children, and looks for another when that one runs.
class RunWatch {
 public:
  // Places that count from the start as if they had run.
  RunWatch(std::shared_ptr<const RunPlaces> runs, const std::vector<char>& done);

  // Whether a child of the place has not run yet; then the place is told of when the child that it
  // now watches runs.
  bool watch(int32_t place);
  void run(int32_t place);
  // Calls tell(place) for the places that watch this one, once each.
  template <class Tell>
  void tell_watchers(int32_t place, const Tell& tell) {
    int32_t watcher = watchers_[place];
    watchers_[place] = -1;
    while (watcher >= 0) {
      const int32_t next = next_[watcher];
      tell(watcher);
      watcher = next;
    }
  }

 private:
  std::shared_ptr<const RunPlaces> runs_;
  std::vector<int32_t> last_;  // [place + 1] leads to the last place before that has not run
  std::vector<int32_t> watchers_, next_;  // [place] the first watcher; of a watcher, the next one
};

// The greatest of the values set over runs that hold a place; each value is a vector.
class GreatestOverRuns {
 public:
  GreatestOverRuns(int64_t places, size_t width)
      : places_(places), width_(width), set_(2 * static_cast<size_t>(places) * width, 0) {}

  // values[0 .. width) over the places low, ..., high - 1.
  void set(int64_t low, int64_t high, const int32_t* values);
  // Raises row[0 .. width) to the values that were set over the place.
  void raise(int64_t place, int32_t* row) const;

 private:
  int64_t places_;
  size_t width_;
  std::vector<int32_t> set_;  // [node of a binary tree over the places][width]
};

}  // namespace cavs
