// Keeps which vertices are ready, and the facts by which policies choose among types.
#include "graph/frontier.h"

#include <algorithm>
#include <numeric>

namespace cavs {

Frontier::Frontier(const GraphBatch& batch, const TypeOrder& order,
                   const std::vector<int32_t>& types, bool heights)
    : types_(types), kinds_(order.count()) {
  const int64_t count = batch.num_vertices();
  runs_.resize(static_cast<size_t>(count));
  for (int64_t v = 0; v < count; ++v) {
    const auto type = static_cast<size_t>(types[v]);
    const bool leaf = batch.child_ptr[v] == batch.child_ptr[v + 1];
    runs_[v] = order.batched[type] && !(leaf && order.apart[type]);
  }
  list_parents(batch);
  if (!find_depths_in_order(batch)) find_depths();
  ready_.resize(kinds_);
  left_.assign(kinds_, 0);
  depth_left_.assign(kinds_, 0);
  for (int64_t v = 0; v < count; ++v) {
    if (!runs_[v]) continue;
    ++left_[types[v]];
    depth_left_[types[v]] += depth_[v];
  }
  if (heights) find_heights(batch);
  for (size_t v = 0; v < runs_.size(); ++v) {
    if (runs_[v] && waiting_[v] == 0) open(static_cast<int32_t>(v));
  }
}

bool Frontier::done() const {
  return std::all_of(ready_.begin(), ready_.end(), [](const auto& r) { return r.empty(); });
}

int64_t Frontier::bound() const { return std::accumulate(top_.begin(), top_.end(), int64_t{0}); }

TypedBatch Frontier::run(size_t type) {
  TypedBatch batch{static_cast<int>(type), std::move(ready_[type])};
  ready_[type].clear();
  for (const int32_t v : batch.vertices) {
    --left_[type];
    depth_left_[type] -= depth_[v];
    if (height_.empty()) continue;
    --at_[type][height_[v]];
    --ready_at_[type][height_[v]];
  }
  if (!height_.empty()) {
    while (top_[type] > 0 && at_[type][static_cast<size_t>(top_[type])] == 0) --top_[type];
  }
  for (const int32_t v : batch.vertices) {
    for (int32_t i = out_ptr_[v]; i < out_ptr_[v + 1]; ++i) {
      if (--waiting_[out_[i]] == 0) open(out_[i]);
    }
  }
  return batch;
}

void Frontier::open(int32_t v) {
  const auto type = static_cast<size_t>(types_[v]);
  ready_[type].push_back(v);
  if (!height_.empty()) ++ready_at_[type][height_[v]];
}

// Between vertices that run: an entry for each edge.
void Frontier::list_parents(const GraphBatch& batch) {
  const int64_t count = batch.num_vertices();
  waiting_.assign(static_cast<size_t>(count), 0);
  out_ptr_.assign(static_cast<size_t>(count) + 2, 0);
  const auto each = [&](const auto& body) {
    for (int64_t v = 0; v < count; ++v) {
      if (!runs_[v]) continue;
      for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
        if (runs_[batch.children[e]]) body(static_cast<int32_t>(v), batch.children[e]);
      }
    }
  };
  each([&](int32_t v, int32_t child) {
    ++waiting_[v];
    ++out_ptr_[child + 2];
  });
  std::partial_sum(out_ptr_.begin(), out_ptr_.end(), out_ptr_.begin());
  out_.resize(static_cast<size_t>(out_ptr_.back()));
  each([&](int32_t v, int32_t child) { out_[out_ptr_[child + 1]++] = v; });
  out_ptr_.pop_back();
}

// Where children stand before their parents, as in most graphs; else false. Reading along the child
// lists is faster than going from vertex to vertex.
bool Frontier::find_depths_in_order(const GraphBatch& batch) {
  const auto count = static_cast<int32_t>(runs_.size());
  depth_.assign(runs_.size(), 0);
  order_.reserve(runs_.size());
  for (int32_t v = 0; v < count; ++v) {
    if (!runs_[v]) continue;
    int32_t depth = 0;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.children[e];
      if (!runs_[child]) continue;
      if (child >= v) {
        order_.clear();
        return false;
      }
      depth = std::max(depth, depth_[child] + 1);
    }
    depth_[v] = depth;
    order_.push_back(v);
  }
  return true;
}

// And the order in which children come before parents.
void Frontier::find_depths() {
  depth_.assign(runs_.size(), 0);
  std::vector<int32_t> waiting = waiting_;
  for (size_t v = 0; v < runs_.size(); ++v) {
    if (runs_[v] && waiting[v] == 0) order_.push_back(static_cast<int32_t>(v));
  }
  for (size_t i = 0; i < order_.size(); ++i) {
    const int32_t v = order_[i];
    for (int32_t e = out_ptr_[v]; e < out_ptr_[v + 1]; ++e) {
      depth_[out_[e]] = std::max(depth_[out_[e]], depth_[v] + 1);
      if (--waiting[out_[e]] == 0) order_.push_back(out_[e]);
    }
  }
}

// Parents before their children: each tells its children.
void Frontier::find_heights(const GraphBatch& batch) {
  height_.assign(runs_.size(), 0);
  at_.assign(kinds_, {0});
  top_.assign(kinds_, 0);
  std::vector<int32_t> above(runs_.size() * kinds_, 0);  // [vertex][type]
  for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
    const int32_t v = *i;
    int32_t* row = above.data() + static_cast<size_t>(v) * kinds_;
    const auto type = static_cast<size_t>(types_[v]);
    height_[v] = ++row[type];
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.children[e];
      if (!runs_[child]) continue;
      int32_t* below = above.data() + static_cast<size_t>(child) * kinds_;
      for (size_t t = 0; t < kinds_; ++t) below[t] = std::max(below[t], row[t]);
    }
    auto& at = at_[type];
    if (at.size() <= static_cast<size_t>(height_[v]))
      at.resize(static_cast<size_t>(height_[v]) + 1);
    ++at[static_cast<size_t>(height_[v])];
    top_[type] = std::max(top_[type], height_[v]);
  }
  for (const auto& at : at_) ready_at_.emplace_back(at.size(), 0);
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
