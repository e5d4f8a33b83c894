// Goes through the vertices of several types batch by batch.
#include "graph/batching.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "graph/frontier.h"
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

// Level by level; within a level types in their order, vertices in the user's.
std::vector<TypedBatch> by_depth(const Frontier& frontier, const std::vector<int32_t>& types) {
  const auto& depths = frontier.depths();
  const auto place = [&](int32_t v) { return std::pair(depths[v], types[v]); };
  std::vector<int32_t> order;
  for (size_t v = 0; v < types.size(); ++v) {
    if (frontier.runs(static_cast<int64_t>(v))) order.push_back(static_cast<int32_t>(v));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return place(a) < place(b); });
  std::vector<TypedBatch> found;
  for (size_t i = 0; i < order.size(); ++i) {
    const bool first = i == 0 || place(order[i - 1]) != place(order[i]);
    if (first) found.push_back({types[order[i]], {}});
    found.back().vertices.push_back(order[i]);
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

// Puts the vertices of each batch in the user's order: one pass over all vertices, which costs less
// than to sort each batch.
void put_in_order(size_t num_vertices, std::vector<TypedBatch>* batches) {
  std::vector<int32_t> batch_of(num_vertices, -1);
  std::vector<int32_t*> next;
  next.reserve(batches->size());
  for (TypedBatch& batch : *batches) {
    for (const int32_t v : batch.vertices) batch_of[v] = static_cast<int32_t>(next.size());
    next.push_back(batch.vertices.data());
  }
  for (size_t v = 0; v < num_vertices; ++v) {
    if (batch_of[v] >= 0) *next[batch_of[v]]++ = static_cast<int32_t>(v);
  }
}

}  // namespace

std::vector<TypedBatch> typed_batches(const GraphBatch& batch, const TypeOrder& order,
                                      const std::vector<int32_t>& types, Policy policy,
                                      const ChooseType& choose) {
  const bool asks = choose || policy == Policy::kAgenda || policy == Policy::kBound;
  Frontier frontier(batch, order, types, !choose && policy == Policy::kBound);
  if (!asks && policy == Policy::kSerial) return one_by_one(batch, frontier, types);
  if (!asks) return by_depth(frontier, types);
  const ChooseType own = policy == Policy::kAgenda ? choose_by_agenda : by_bound;
  std::vector<TypedBatch> found = batches_of(&frontier, choose ? choose : own);
  put_in_order(types.size(), &found);
  return found;
}

std::vector<TypedBatch> batches_of(Frontier* frontier, const ChooseType& choose) {
  std::vector<TypedBatch> found;
  while (!frontier->done()) {
    const size_t type = choose(*frontier);
    CAVS_CHECK(type < frontier->ready().size() && !frontier->ready()[type].empty(),
               ErrorKind::kValue,
               "[policy] expected the number of a type with ready vertices among ",
               frontier->ready().size(), " types, got ", type, "; name one of those");
    found.push_back(frontier->run(type));
  }
  return found;
}

}  // namespace cavs
