// Goes through the vertices of several types batch by batch.
#include "graph/batching.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "graph/type_names.h"

namespace cavs {

Policy policy_from_name(const std::string& name) {
  if (name == "depth" || name == "batching") return Policy::kDepth;
  if (name == "agenda") return Policy::kAgenda;
  if (name == "bound") return Policy::kBound;
  if (name == "serial") return Policy::kSerial;
  fail(ErrorKind::kValue, "[schedule] expected policy depth, agenda, bound or serial, got ", name,
       "; choose one of these");
}

std::vector<int32_t> types_of(const GraphBatch& batch, const TypeOrder& order) {
  const auto listed = [&] {
    std::string names;
    for (const int type : order.given) {
      names += (names.empty() ? "" : ", ") + order.names[static_cast<size_t>(type)];
    }
    return names;
  };
  CAVS_CHECK(batch.num_vertices() == 0 || !batch.types.empty(), ErrorKind::kGraph,
             "[graph] expected a type for each vertex (", listed(),
             "), got graphs without types; give them, as in InputGraph(children, types=[...])");
  // Few numbers come, many vertices have them.
  std::vector<std::pair<int32_t, int32_t>> known;
  for (size_t i = 0; i < order.given.size(); ++i) {
    const int type = order.given[i];
    known.emplace_back(number_of_type(order.names[static_cast<size_t>(type)]), type);
    known.emplace_back(numbered_type(static_cast<int64_t>(i)), type);
  }
  std::vector<int32_t> types(batch.types.size());
  int32_t last = 0, last_type = -1;
  for (size_t v = 0; v < types.size(); ++v) {
    const int32_t given = batch.types[v];
    if (last_type < 0 || given != last) {
      const auto found = std::find_if(known.begin(), known.end(),
                                      [&](const auto& entry) { return entry.first == given; });
      if (found == known.end()) {
        const auto graph =
            std::upper_bound(batch.ptr.begin(), batch.ptr.end(), static_cast<int32_t>(v)) -
            batch.ptr.begin() - 1;
        fail(ErrorKind::kGraph, "[graph] graph ", graph, ", vertex ",
             static_cast<int64_t>(v) - batch.ptr[static_cast<size_t>(graph)],
             ": expected a type among ", listed(), ", got ", shown_type(given),
             "; correct the types of the graph");
      }
      last = given;
      last_type = found->second;
    }
    types[v] = last_type;
  }
  return types;
}

std::optional<Unreadable> find_unreadable(const GraphBatch& batch,
                                          const std::vector<int32_t>& types, size_t count,
                                          const std::vector<ChildRead>& reads, bool extra) {
  const auto concerns = [](const ChildRead& read, int32_t parent, int32_t child) {
    return read.edges.parents == parent &&
           (read.edges.children < 0 || read.edges.children == child);
  };
  // [parent's type][child's type] whether a look at the types is enough
  std::vector<char> plain(count * count, 0);
  for (size_t t = 0; t < count * count; ++t) {
    const auto parent = static_cast<int32_t>(t / count), child = static_cast<int32_t>(t % count);
    bool read_whole = false, known = true;
    for (const ChildRead& read : reads) {
      if (!concerns(read, parent, child)) continue;
      read_whole = read_whole || read.slot < 0;
      known = known && read.types[static_cast<size_t>(child)];
    }
    plain[t] = read_whole && known;
  }
  std::vector<int32_t> of_type(count);
  for (int64_t v = 0; v < batch.num_vertices(); ++v) {
    const int32_t first = batch.child_ptr[v], last = batch.child_ptr[v + 1];
    const char* row = plain.data() + static_cast<size_t>(types[v]) * count;
    const auto is_plain = [&](int32_t child) { return row[types[child]] != 0; };
    if (std::all_of(batch.children.begin() + first, batch.children.begin() + last, is_plain)) {
      continue;
    }
    std::fill(of_type.begin(), of_type.end(), 0);
    for (int32_t e = first; e < last; ++e) {
      const int32_t child = types[batch.children[e]];
      const int32_t slot = batch.slots.empty() ? e - first : batch.slots[e];
      const int32_t slot_of_type = of_type[child]++;
      bool reached = extra;
      for (size_t r = 0; r < reads.size(); ++r) {
        const ChildRead& read = reads[r];
        if (!concerns(read, types[v], child)) continue;
        const int32_t place = read.edges.children < 0 ? slot : slot_of_type;
        if (read.slot >= 0 && read.slot != place) continue;
        reached = true;
        if (!read.types[static_cast<size_t>(child)]) {
          return Unreadable{v, e, static_cast<int>(r)};
        }
      }
      if (!reached) return Unreadable{v, e, -1};
    }
  }
  return std::nullopt;
}

namespace {

// What is left of a batch, and what of it can run.
class Frontier {
 public:
  Frontier(const GraphBatch& batch, const TypeOrder& order, const std::vector<int32_t>& types)
      : batch_(batch), types_(types), kinds_(order.count()) {
    const int64_t count = batch.num_vertices();
    runs_.resize(static_cast<size_t>(count));
    for (int64_t v = 0; v < count; ++v) {
      const auto type = static_cast<size_t>(types[v]);
      const bool leaf = batch.child_ptr[v] == batch.child_ptr[v + 1];
      runs_[v] = order.batched[type] && !(leaf && order.apart[type]);
    }
    list_parents();
    find_depths();
    ready_.resize(kinds_);
    left_.assign(kinds_, 0);
    depth_left_.assign(kinds_, 0);
    for (int64_t v = 0; v < count; ++v) {
      if (!runs_[v]) continue;
      ++left_[types[v]];
      depth_left_[types[v]] += depth_[v];
    }
  }

  void find_heights();

  bool done() const {
    return std::all_of(ready_.begin(), ready_.end(), [](const auto& r) { return r.empty(); });
  }
  const std::vector<std::vector<int32_t>>& ready() const { return ready_; }
  const std::vector<int32_t>& depths() const { return depth_; }
  bool runs(int64_t v) const { return runs_[v] != 0; }
  double average_depth(size_t type) const {
    return static_cast<double>(depth_left_[type]) / static_cast<double>(left_[type]);
  }
  // Of the longest chains of the type that are left, the share that begin in the frontier.
  double share_of_longest(size_t type) const {
    const auto top = static_cast<size_t>(top_[type]);
    return static_cast<double>(ready_at_[type][top]) / static_cast<double>(at_[type][top]);
  }
  // Longest chains of each type, added up.
  int64_t bound() const { return std::accumulate(top_.begin(), top_.end(), int64_t{0}); }

  void open_sources() {
    for (size_t v = 0; v < runs_.size(); ++v) {
      if (runs_[v] && waiting_[v] == 0) open(static_cast<int32_t>(v));
    }
  }

  // Runs all ready vertices of the type, or one vertex.
  TypedBatch run(size_t type) {
    TypedBatch batch{static_cast<int>(type), std::move(ready_[type])};
    ready_[type].clear();
    std::sort(batch.vertices.begin(), batch.vertices.end());
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

 private:
  void open(int32_t v) {
    const auto type = static_cast<size_t>(types_[v]);
    ready_[type].push_back(v);
    if (!height_.empty()) ++ready_at_[type][height_[v]];
  }

  // Between vertices that run: an entry for each edge.
  void list_parents() {
    const int64_t count = batch_.num_vertices();
    waiting_.assign(static_cast<size_t>(count), 0);
    out_ptr_.assign(static_cast<size_t>(count) + 2, 0);
    const auto each = [&](const auto& body) {
      for (int64_t v = 0; v < count; ++v) {
        if (!runs_[v]) continue;
        for (int32_t e = batch_.child_ptr[v]; e < batch_.child_ptr[v + 1]; ++e) {
          if (runs_[batch_.children[e]]) body(static_cast<int32_t>(v), batch_.children[e]);
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

  // And the order in which children come before parents.
  void find_depths() {
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

  const GraphBatch& batch_;
  const std::vector<int32_t>& types_;
  const size_t kinds_;
  std::vector<char> runs_;        // [vertex] whether it runs batch by batch
  std::vector<int32_t> waiting_;  // [vertex] edges to children that have not run
  std::vector<int32_t> out_ptr_, out_;
  std::vector<int32_t> depth_, order_;
  std::vector<std::vector<int32_t>> ready_;  // [type]
  std::vector<int64_t> left_, depth_left_;   // [type]
  // Of the bound: the most vertices of its own type on a path from a vertex upwards, itself too.
  std::vector<int32_t> height_;
  std::vector<std::vector<int32_t>> at_, ready_at_;  // [type][height] vertices left, and ready
  std::vector<int32_t> top_;                         // [type] greatest height left
};

void Frontier::find_heights() {
  height_.assign(runs_.size(), 0);
  at_.assign(kinds_, {0});
  top_.assign(kinds_, 0);
  std::vector<int32_t> above(runs_.size() * kinds_, 0);  // [vertex][type]
  for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
    const int32_t v = *i;
    int32_t* row = above.data() + static_cast<size_t>(v) * kinds_;
    for (int32_t e = out_ptr_[v]; e < out_ptr_[v + 1]; ++e) {
      const int32_t* parent = above.data() + static_cast<size_t>(out_[e]) * kinds_;
      for (size_t t = 0; t < kinds_; ++t) row[t] = std::max(row[t], parent[t]);
    }
    const auto type = static_cast<size_t>(types_[v]);
    height_[v] = ++row[type];
    auto& at = at_[type];
    if (at.size() <= static_cast<size_t>(height_[v]))
      at.resize(static_cast<size_t>(height_[v]) + 1);
    ++at[static_cast<size_t>(height_[v])];
    top_[type] = std::max(top_[type], height_[v]);
  }
  for (const auto& at : at_) ready_at_.emplace_back(at.size(), 0);
}

size_t by_agenda(const Frontier& frontier) {
  size_t best = frontier.ready().size();
  for (size_t t = 0; t < frontier.ready().size(); ++t) {
    if (frontier.ready()[t].empty()) continue;
    const bool first = best == frontier.ready().size();
    if (first || frontier.average_depth(t) < frontier.average_depth(best)) best = t;
  }
  return best;
}

// A batch lowers the bound where all longest chains of its type begin in the frontier. Where no
// type's do, that of which most begin there; among equals the one that comes first on average.
size_t by_bound(const Frontier& frontier) {
  size_t best = frontier.ready().size();
  double best_share = -1;
  for (size_t t = 0; t < frontier.ready().size(); ++t) {
    if (frontier.ready()[t].empty()) continue;
    const double share = frontier.share_of_longest(t);
    const bool better =
        share > best_share ||
        (share == best_share && frontier.average_depth(t) < frontier.average_depth(best));
    if (better) {
      best = t;
      best_share = share;
    }
  }
  return best;
}

size_t by_choice(const Frontier& frontier, const TypeOrder& order, const ChooseType& choose) {
  std::vector<int64_t> ready;
  for (const auto& vertices : frontier.ready()) {
    ready.push_back(static_cast<int64_t>(vertices.size()));
  }
  const int chosen = choose(ready);
  const bool is_ready = chosen >= 0 && static_cast<size_t>(chosen) < ready.size() &&
                        ready[static_cast<size_t>(chosen)] > 0;
  CAVS_CHECK(is_ready, ErrorKind::kValue,
             "[policy] expected the number of a type with ready vertices among ", order.count(),
             " types, got ", chosen, "; name one of those");
  return static_cast<size_t>(chosen);
}

// Stable: within a level, types in their order, vertices in the user's.
std::vector<TypedBatch> by_depth(const Frontier& frontier, const std::vector<int32_t>& types,
                                 size_t kinds) {
  const auto& depths = frontier.depths();
  int32_t deepest = -1;
  for (size_t v = 0; v < depths.size(); ++v) {
    if (frontier.runs(static_cast<int64_t>(v))) deepest = std::max(deepest, depths[v]);
  }
  std::vector<TypedBatch> all(static_cast<size_t>(deepest + 1) * kinds), found;
  for (size_t v = 0; v < depths.size(); ++v) {
    if (!frontier.runs(static_cast<int64_t>(v))) continue;
    const size_t place = static_cast<size_t>(depths[v]) * kinds + static_cast<size_t>(types[v]);
    all[place].type = types[v];
    all[place].vertices.push_back(static_cast<int32_t>(v));
  }
  for (TypedBatch& batch : all) {
    if (!batch.vertices.empty()) found.push_back(std::move(batch));
  }
  return found;
}

// Graphs have contiguous vertices; within a graph by depth, then in the user's order.
std::vector<TypedBatch> one_by_one(const GraphBatch& batch, const Frontier& frontier,
                                   const std::vector<int32_t>& types) {
  std::vector<TypedBatch> found;
  std::vector<int32_t> of_graph;
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    of_graph.clear();
    for (int32_t v = batch.ptr[g]; v < batch.ptr[g + 1]; ++v) {
      if (frontier.runs(v)) of_graph.push_back(v);
    }
    std::stable_sort(of_graph.begin(), of_graph.end(), [&](int32_t a, int32_t b) {
      return frontier.depths()[a] < frontier.depths()[b];
    });
    for (const int32_t v : of_graph) found.push_back({types[v], {v}});
  }
  return found;
}

}  // namespace

std::vector<TypedBatch> typed_batches(const GraphBatch& batch, const TypeOrder& order,
                                      const std::vector<int32_t>& types, Policy policy,
                                      const ChooseType& choose) {
  Frontier frontier(batch, order, types);
  if (!choose && policy == Policy::kSerial) return one_by_one(batch, frontier, types);
  if (!choose && policy == Policy::kDepth) return by_depth(frontier, types, order.count());
  if (!choose && policy == Policy::kBound) frontier.find_heights();
  frontier.open_sources();
  std::vector<TypedBatch> found;
  while (!frontier.done()) {
    const size_t type = choose                     ? by_choice(frontier, order, choose)
                        : policy == Policy::kBound ? by_bound(frontier)
                                                   : by_agenda(frontier);
    found.push_back(frontier.run(type));
  }
  return found;
}

int64_t least_batches(const GraphBatch& batch, const TypeOrder& order,
                      const std::vector<int32_t>& types) {
  Frontier frontier(batch, order, types);
  frontier.find_heights();
  return frontier.bound();
}

}  // namespace cavs
