// Goes over runs of children, without a step for each child.
#include "graph/child_runs.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cavs {
namespace {

// Sets to[u] = v for u in each vertex v's run, where no vertex before in `order` has.
template <class Order>
void paint(const GraphBatch& batch, const Order& vertex_at, std::vector<int32_t>* to) {
  const int64_t count = batch.num_vertices();
  std::vector<int32_t> next(static_cast<size_t>(count) + 1);  // leads to the next one without paint
  std::iota(next.begin(), next.end(), 0);
  const auto unpainted = [&](int32_t u) {
    while (next[u] != u) u = next[u] = next[next[u]];
    return u;
  };
  for (int64_t i = 0; i < count; ++i) {
    const int32_t v = vertex_at(i);
    const int32_t end = batch.first[v] + batch.child_ptr[v + 1] - batch.child_ptr[v];
    for (int32_t u = unpainted(batch.first[v]); u < end; u = unpainted(u)) {
      (*to)[u] = v;
      next[u] = u + 1;
    }
  }
}

}  // namespace

RunPlaces::RunPlaces(const GraphBatch& batch)
    : low(batch.first), high(batch.first), vertex(batch.first.size()) {
  std::iota(vertex.begin(), vertex.end(), 0);
  const auto arity = [&](int32_t v) { return batch.child_ptr[v + 1] - batch.child_ptr[v]; };
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    const int32_t begin = batch.ptr[g], end = batch.ptr[g + 1];
    int32_t v = begin;
    while (v < end && arity(v) == 0) ++v;
    if (v == end || batch.first[v] < v) {
      for (int32_t p = begin; p < end; ++p) high[p] += arity(p);
      continue;
    }
    in_order = false;
    for (int32_t p = begin; p < end; ++p) {
      v = vertex[p] = begin + end - 1 - p;
      high[p] = begin + end - batch.first[v];
      low[p] = high[p] - arity(v);
    }
  }
}

std::vector<int32_t> runs_of_lists(const GraphBatch& batch) {
  if (!batch.slots.empty()) return {};
  std::vector<int32_t> first;
  first.reserve(static_cast<size_t>(batch.num_vertices()));
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    bool below = false, above = false;
    for (int32_t v = batch.ptr[g]; v < batch.ptr[g + 1]; ++v) {
      const int32_t begin = batch.child_ptr[v], end = batch.child_ptr[v + 1];
      first.push_back(begin == end ? batch.ptr[g] : batch.lists[begin]);
      for (int32_t e = begin; e < end; ++e) {
        if (batch.lists[e] != first.back() + e - begin) return {};
        (batch.lists[e] < v ? below : above) = true;
      }
    }
    if (below && above) return {};
  }
  return first;
}

std::vector<int32_t> levels_of_runs(const GraphBatch& batch) {
  const RunPlaces runs(batch);
  std::vector<int32_t> levels(static_cast<size_t>(batch.num_vertices()), 0);
  greatest_of_children(
      runs, [&](int32_t p) { return levels[runs.vertex[p]]; },
      [&](int32_t p, int32_t greatest) { levels[runs.vertex[p]] = greatest + 1; });
  return levels;
}

bool reverse_runs(const GraphBatch& batch, GraphBatch* reversed) {
  const auto count = static_cast<size_t>(batch.num_vertices());
  std::vector<int32_t> ptr(count + 1, 0), least(count), greatest(count);
  for (size_t v = 0; v < count; ++v) {
    ++ptr[batch.first[v]];
    --ptr[batch.first[v] + batch.child_ptr[v + 1] - batch.child_ptr[v]];
  }
  paint(batch, [](int64_t i) { return static_cast<int32_t>(i); }, &least);
  paint(batch, [&](int64_t i) { return static_cast<int32_t>(count - 1 - i); }, &greatest);
  int32_t edges = 0, parents = 0;
  for (size_t v = 0; v < count; ++v) {
    parents += ptr[v];
    ptr[v] = edges;
    edges += parents;
    if (parents > 0 && greatest[v] - least[v] + 1 != parents) return false;
  }
  ptr[count] = edges;
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    for (int32_t v = batch.ptr[g]; v < batch.ptr[g + 1]; ++v) {
      if (ptr[v] == ptr[v + 1]) least[v] = batch.ptr[g];
    }
  }
  reversed->child_ptr = std::move(ptr);
  set_runs(std::move(least), reversed);
  return true;
}

RunWatch::RunWatch(std::shared_ptr<const RunPlaces> runs, const std::vector<char>& done)
    : runs_(std::move(runs)),
      last_(done.size() + 1),
      watchers_(done.size(), -1),
      next_(done.size(), -1) {
  std::iota(last_.begin(), last_.end(), 0);
  for (size_t p = 0; p < done.size(); ++p) {
    if (done[p]) run(static_cast<int32_t>(p));
  }
}

// Entry p + 1 stands for place p, so that 0 says that there is none.
void RunWatch::run(int32_t place) { last_[place + 1] = place; }

bool RunWatch::watch(int32_t place) {
  int32_t p = runs_->high[place];
  while (last_[p] != p) p = last_[p] = last_[last_[p]];
  const int32_t child = p - 1;
  if (child < runs_->low[place]) return false;
  next_[place] = watchers_[child];
  watchers_[child] = place;
  return true;
}

void GreatestOverRuns::set(int64_t low, int64_t high, const int32_t* values) {
  const auto raise_node = [&](int64_t node) {
    int32_t* own = set_.data() + static_cast<size_t>(node) * width_;
    for (size_t i = 0; i < width_; ++i) own[i] = std::max(own[i], values[i]);
  };
  for (low += places_, high += places_; low < high; low /= 2, high /= 2) {
    if (low % 2 != 0) raise_node(low++);
    if (high % 2 != 0) raise_node(--high);
  }
}

void GreatestOverRuns::raise(int64_t place, int32_t* row) const {
  for (int64_t node = place + places_; node > 0; node /= 2) {
    const int32_t* own = set_.data() + static_cast<size_t>(node) * width_;
    for (size_t i = 0; i < width_; ++i) row[i] = std::max(row[i], own[i]);
  }
}

}  // namespace cavs
