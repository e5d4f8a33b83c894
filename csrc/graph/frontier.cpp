// Keeps which vertices are ready, and the facts by which policies choose among types.
#include "graph/frontier.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cavs {

Frontier::Frontier(const GraphBatch& batch, const TypeOrder& order,
                   const std::vector<int32_t>& types, bool heights)
    : types_(types),
      kinds_(order.count()),
      runs_(running_vertices(batch, order, types)),
      ready_(kinds_),
      left_(kinds_, 0),
      depth_left_(kinds_, 0) {
  depth_.assign(runs_.size(), 0);
  if (batch.has_runs()) {
    places_ = std::make_shared<const RunPlaces>(batch);
    look_down_runs();
    if (heights) find_heights_of_runs();
    for (int32_t p = 0; p < static_cast<int32_t>(runs_.size()); ++p) {
      const int32_t v = places_->vertex[p];
      if (runs_[v] && !watch_->watch(p)) open(v);
    }
    return;
  }
  const std::vector<int32_t> in_order = children_first(batch);
  look_down(batch, in_order);
  list_parents(batch);
  if (heights) find_heights(batch, in_order);
  for (size_t v = 0; v < runs_.size(); ++v) {
    if (runs_[v] && waiting_[v] == 0) open(static_cast<int32_t>(v));
  }
}

bool Frontier::done() const {
  return std::all_of(ready_.begin(), ready_.end(), [](const auto& r) { return r.empty(); });
}

int64_t Frontier::bound() const { return std::accumulate(top_.begin(), top_.end(), int64_t{0}); }

void Frontier::run(size_t type, std::vector<int32_t>* ran) {
  const std::vector<int32_t> vertices = std::move(ready_[type]);
  ready_[type].clear();
  ran->insert(ran->end(), vertices.begin(), vertices.end());
  left_[type] -= static_cast<int64_t>(vertices.size());
  for (const int32_t v : vertices) depth_left_[type] -= depth_[v];
  if (!height_.empty()) {
    auto& at = at_[type];
    for (const int32_t v : vertices) {
      --at[height_[v]];
      --ready_at_[type][height_[v]];
    }
    while (top_[type] > 0 && at[static_cast<size_t>(top_[type])] == 0) --top_[type];
  }
  if (watch_) {
    const std::vector<int32_t>& places = places_->vertex;
    for (const int32_t v : vertices) watch_->run(places[v]);
    for (const int32_t v : vertices) {
      watch_->tell_watchers(places[v], [&](int32_t place) {
        if (!watch_->watch(place)) open(places[place]);
      });
    }
    return;
  }
  for (const int32_t v : vertices) {
    for (int32_t i = out_ptr_[v]; i < out_ptr_[v + 1]; ++i) {
      if (--waiting_[out_[i]] == 0) open(out_[i]);
    }
  }
}

void Frontier::open(int32_t v) {
  const auto type = static_cast<size_t>(types_[v]);
  ready_[type].push_back(v);
  if (!height_.empty()) ++ready_at_[type][height_[v]];
}

void Frontier::count_vertex(int32_t v, int32_t depth) {
  depth_[v] = depth;
  ++left_[types_[v]];
  depth_left_[types_[v]] += depth;
}

// The same as look_down and list_parents.
void Frontier::look_down_runs() {
  const std::vector<int32_t>& vertices = places_->vertex;
  const auto depth = [&](int32_t p) { return runs_[vertices[p]] ? depth_[vertices[p]] : -1; };
  greatest_of_children(*places_, depth, [&](int32_t p, int32_t greatest) {
    if (runs_[vertices[p]]) depth_[vertices[p]] = greatest + 1;
  });
  std::vector<char> done(runs_.size());
  for (size_t v = 0; v < runs_.size(); ++v) {
    if (runs_[v]) count_vertex(static_cast<int32_t>(v), depth_[v]);
    done[vertices[v]] = !runs_[v];
  }
  watch_.emplace(places_, done);
}

// Finds depths, and counts the edges by which vertices wait.
void Frontier::look_down(const GraphBatch& batch, const std::vector<int32_t>& children_first) {
  waiting_.assign(runs_.size(), 0);
  // Counted two places ahead, so that filling leaves out_ptr_[v] at the first parent of v.
  out_ptr_.assign(runs_.size() + 2, 0);
  for (size_t i = 0; i < runs_.size(); ++i) {
    const int32_t v = children_first.empty() ? static_cast<int32_t>(i) : children_first[i];
    if (!runs_[v]) continue;
    int32_t depth = 0, waiting = 0;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.lists[e];
      if (!runs_[child]) continue;
      ++waiting;
      ++out_ptr_[child + 2];
      depth = std::max(depth, depth_[child] + 1);
    }
    waiting_[v] = waiting;
    count_vertex(v, depth);
  }
}

void Frontier::list_parents(const GraphBatch& batch) {
  std::partial_sum(out_ptr_.begin(), out_ptr_.end(), out_ptr_.begin());
  out_.resize(static_cast<size_t>(out_ptr_.back()));
  for (size_t v = 0; v < runs_.size(); ++v) {
    if (waiting_[v] == 0) continue;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.lists[e];
      if (runs_[child]) out_[out_ptr_[child + 1]++] = static_cast<int32_t>(v);
    }
  }
  out_ptr_.pop_back();
}

// Parents before their children: each tells its children.
void Frontier::find_heights(const GraphBatch& batch, const std::vector<int32_t>& children_first) {
  height_.assign(runs_.size(), 0);
  at_.assign(kinds_, {0});
  top_.assign(kinds_, 0);
  std::vector<int32_t> above(runs_.size() * kinds_, 0);  // [vertex][type]
  for (size_t i = runs_.size(); i-- > 0;) {
    const int32_t v = children_first.empty() ? static_cast<int32_t>(i) : children_first[i];
    if (!runs_[v]) continue;
    int32_t* row = above.data() + static_cast<size_t>(v) * kinds_;
    const auto type = static_cast<size_t>(types_[v]);
    height_[v] = ++row[type];
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.lists[e];
      if (!runs_[child]) continue;
      int32_t* below = above.data() + static_cast<size_t>(child) * kinds_;
      for (size_t t = 0; t < kinds_; ++t) below[t] = std::max(below[t], row[t]);
    }
    count_height(v);
  }
  for (const auto& at : at_) ready_at_.emplace_back(at.size(), 0);
}

void Frontier::find_heights_of_runs() {
  height_.assign(runs_.size(), 0);
  at_.assign(kinds_, {0});
  top_.assign(kinds_, 0);
  GreatestOverRuns above(places_->size(), kinds_);
  std::vector<int32_t> row(kinds_);
  for (int64_t p = places_->size(); p-- > 0;) {
    const int32_t v = places_->vertex[p];
    if (!runs_[v]) continue;
    std::fill(row.begin(), row.end(), 0);
    above.raise(p, row.data());
    height_[v] = ++row[static_cast<size_t>(types_[v])];
    above.set(places_->low[p], places_->high[p], row.data());
    count_height(v);
  }
  for (const auto& at : at_) ready_at_.emplace_back(at.size(), 0);
}

void Frontier::count_height(int32_t v) {
  const auto type = static_cast<size_t>(types_[v]), height = static_cast<size_t>(height_[v]);
  auto& at = at_[type];
  if (at.size() <= height) at.resize(height + 1);
  ++at[height];
  top_[type] = std::max(top_[type], height_[v]);
}

size_t choose_by_agenda(const Frontier& frontier) {
  size_t best = frontier.ready().size();
  for (size_t t = 0; t < frontier.ready().size(); ++t) {
    if (frontier.ready()[t].empty()) continue;
    const bool first = best == frontier.ready().size();
    if (first || frontier.average_depth(t) < frontier.average_depth(best)) best = t;
  }
  return best;
}

}  // namespace cavs
