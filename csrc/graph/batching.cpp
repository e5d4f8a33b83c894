// Goes through the vertices of several types batch by batch.
#include "graph/batching.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "graph/batching_runs.h"
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
    bool read_whole = extra, known = true;
    for (const ChildRead& read : reads) {
      if (!concerns(read, parent, child)) continue;
      read_whole = read_whole || read.slot == kAllSlots;
      known = known && read.types[static_cast<size_t>(child)];
    }
    plain[t] = read_whole && known;
  }
  const std::vector<char> looked_at =
      batch.has_runs() ? with_other_children(batch, types, plain) : std::vector<char>();
  std::vector<int32_t> of_type(count), left_of_type(count);
  for (int64_t v = 0; v < batch.num_vertices(); ++v) {
    const int32_t first = batch.child_ptr[v], last = batch.child_ptr[v + 1];
    const char* row = plain.data() + static_cast<size_t>(types[v]) * count;
    const auto is_plain = [&](int32_t child) { return row[types[child]] != 0; };
    const bool all_plain = batch.has_runs() ? looked_at[v] == 0
                                            : std::all_of(batch.lists.begin() + first,
                                                          batch.lists.begin() + last, is_plain);
    if (all_plain) continue;
    std::fill(of_type.begin(), of_type.end(), 0);
    std::fill(left_of_type.begin(), left_of_type.end(), 0);
    const auto type_of_child = [&](int32_t e) {
      return types[batch.has_runs() ? batch.first[v] + e - first : batch.lists[e]];
    };
    for (int32_t e = first; e < last; ++e) ++left_of_type[type_of_child(e)];
    for (int32_t e = first; e < last; ++e) {
      const int32_t child = type_of_child(e);
      const int32_t slot = batch.slots.empty() ? e - first : batch.slots[e];
      const int32_t slot_of_type = of_type[child]++, behind_of_type = --left_of_type[child];
      bool reached = extra;
      for (size_t r = 0; r < reads.size(); ++r) {
        const ChildRead& read = reads[r];
        if (!concerns(read, types[v], child)) continue;
        const bool any = read.edges.children < 0;
        if (!read.reads(any ? slot : slot_of_type, any ? last - 1 - e : behind_of_type)) continue;
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
TypedBatches by_depth(const Frontier& frontier, const std::vector<int32_t>& types) {
  const auto& depths = frontier.depths();
  const auto place = [&](int32_t v) { return std::pair(depths[v], types[v]); };
  TypedBatches found;
  auto& order = found.vertices;
  for (size_t v = 0; v < types.size(); ++v) {
    if (frontier.runs(static_cast<int64_t>(v))) order.push_back(static_cast<int32_t>(v));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return place(a) < place(b); });
  for (size_t i = 0; i < order.size(); ++i) {
    if (i + 1 < order.size() && place(order[i]) == place(order[i + 1])) continue;
    found.types.push_back(types[order[i]]);
    found.ptr.push_back(static_cast<int32_t>(i + 1));
  }
  return found;
}

// Graphs have contiguous vertices; within a graph by depth, then in the user's order.
TypedBatches one_by_one(const GraphBatch& batch, const Frontier& frontier,
                        const std::vector<int32_t>& types) {
  TypedBatches found;
  std::vector<int32_t> of_graph;
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    of_graph.clear();
    for (int32_t v = batch.ptr[g]; v < batch.ptr[g + 1]; ++v) {
      if (frontier.runs(v)) of_graph.push_back(v);
    }
    std::stable_sort(of_graph.begin(), of_graph.end(), [&](int32_t a, int32_t b) {
      return frontier.depths()[a] < frontier.depths()[b];
    });
    for (const int32_t v : of_graph) {
      found.vertices.push_back(v);
      found.end(types[v]);
    }
  }
  return found;
}

// [type] the most types that a type waits for one after the other, as far as they run batch by
// batch; empty where two types wait for each other.
std::vector<int> ranks_of(const TypeOrder& order) {
  const size_t count = order.count();
  std::vector<int> ranks(count, 0);
  for (size_t pass = 0; pass <= count; ++pass) {
    bool changed = false;
    for (const TypeOrder::Edges& list : order.lists) {
      if (!order.batched[static_cast<size_t>(list.parents)]) continue;
      for (size_t child = 0; child < count; ++child) {
        const bool read = list.children < 0 || list.children == static_cast<int>(child);
        const bool own = list.parents == static_cast<int>(child);
        if (!read || own || !order.batched[child]) continue;
        int& rank = ranks[static_cast<size_t>(list.parents)];
        changed = changed || rank <= ranks[child];
        rank = std::max(rank, ranks[child] + 1);
      }
    }
    if (!changed) return ranks;
  }
  return {};
}

// [vertex] its depth among the vertices of its own type that run; nothing where a vertex has a
// child of another type whose rank is not below its own.
std::optional<std::vector<int32_t>> depths_in_lists(const GraphBatch& batch,
                                                    const std::vector<int32_t>& types,
                                                    const std::vector<char>& runs,
                                                    const std::vector<int>& ranks) {
  const std::vector<int32_t> in_order = children_first(batch);
  std::vector<int32_t> depths(runs.size(), 0);
  for (size_t i = 0; i < runs.size(); ++i) {
    const int32_t v = in_order.empty() ? static_cast<int32_t>(i) : in_order[i];
    if (!runs[v]) continue;
    for (int32_t e = batch.child_ptr[v]; e < batch.child_ptr[v + 1]; ++e) {
      const int32_t child = batch.lists[e];
      if (!runs[child]) continue;
      if (types[child] == types[v]) {
        depths[v] = std::max(depths[v], depths[child] + 1);
      } else if (ranks[types[child]] >= ranks[types[v]]) {
        return std::nullopt;
      }
    }
  }
  return depths;
}

// Where no two types wait for each other: by rank, then by the depth among vertices of the own
// type, then by type. Each type has as many batches as its longest chain, so no policy needs fewer;
// and batches of equal rank and depth do not wait for each other. Nothing where a child that is not
// read stands in the way.
std::optional<TypedBatches> type_after_type(const GraphBatch& batch, const TypeOrder& order,
                                            const std::vector<int32_t>& types) {
  const std::vector<int> ranks = ranks_of(order);
  if (ranks.empty()) return std::nullopt;
  const std::vector<char> runs = running_vertices(batch, order, types);
  const std::optional<std::vector<int32_t>> known =
      batch.has_runs() ? depths_in_runs(batch, types, runs, ranks)
                       : depths_in_lists(batch, types, runs, ranks);
  if (!known) return std::nullopt;
  const std::vector<int32_t>& depths = *known;
  std::vector<std::vector<int32_t>> counts(order.count());  // [type][depth] vertices
  for (size_t v = 0; v < runs.size(); ++v) {
    if (!runs[v]) continue;
    auto& count = counts[types[v]];
    const auto depth = static_cast<size_t>(depths[v]);
    if (count.size() <= depth) count.resize(depth + 1);
    ++count[depth];
  }
  TypedBatches found;
  int32_t placed = 0;
  for (int rank = 0; rank < static_cast<int>(order.count()); ++rank) {
    bool any = true;
    for (size_t depth = 0; any; ++depth) {
      any = false;
      for (size_t t = 0; t < order.count(); ++t) {
        if (ranks[t] != rank || counts[t].size() <= depth) continue;
        any = true;
        found.types.push_back(static_cast<int>(t));
        const int32_t size = counts[t][depth];
        counts[t][depth] = placed;  // from now on where the next vertex goes
        placed += size;
        found.ptr.push_back(placed);
      }
    }
  }
  found.vertices.resize(static_cast<size_t>(placed));
  for (size_t v = 0; v < runs.size(); ++v) {
    if (runs[v]) found.vertices[counts[types[v]][depths[v]]++] = static_cast<int32_t>(v);
  }
  return found;
}

// Puts the vertices of each batch in the user's order: one pass over all vertices, which costs less
// than to sort each batch.
void put_in_order(size_t num_vertices, TypedBatches* batches) {
  std::vector<int32_t> batch_of(num_vertices, -1);
  for (size_t b = 0; b < batches->size(); ++b) {
    for (int32_t i = batches->ptr[b]; i < batches->ptr[b + 1]; ++i) {
      batch_of[batches->vertices[i]] = static_cast<int32_t>(b);
    }
  }
  std::vector<int32_t> next = batches->ptr;
  for (size_t v = 0; v < num_vertices; ++v) {
    if (batch_of[v] >= 0) batches->vertices[next[batch_of[v]]++] = static_cast<int32_t>(v);
  }
}

}  // namespace

std::vector<char> running_vertices(const GraphBatch& batch, const TypeOrder& order,
                                   const std::vector<int32_t>& types) {
  std::vector<char> runs(types.size());
  for (size_t v = 0; v < types.size(); ++v) {
    const auto type = static_cast<size_t>(types[v]);
    const bool leaf = batch.child_ptr[v] == batch.child_ptr[v + 1];
    runs[v] = order.batched[type] && !(leaf && order.apart[type]);
  }
  return runs;
}

TypedBatches typed_batches(const GraphBatch& batch, const TypeOrder& order,
                           const std::vector<int32_t>& types, Policy policy,
                           const ChooseType& choose) {
  const bool bound = !choose && policy == Policy::kBound;
  if (bound) {
    std::optional<TypedBatches> found = type_after_type(batch, order, types);
    if (found) return *std::move(found);
  }
  Frontier frontier(batch, order, types, bound);
  if (!choose && policy == Policy::kSerial) return one_by_one(batch, frontier, types);
  if (!choose && policy == Policy::kDepth) return by_depth(frontier, types);
  const ChooseType own = bound ? by_bound : choose_by_agenda;
  TypedBatches found = batches_of(&frontier, choose ? choose : own);
  put_in_order(types.size(), &found);
  return found;
}

TypedBatches batches_of(Frontier* frontier, const ChooseType& choose) {
  TypedBatches found;
  while (!frontier->done()) {
    const size_t type = choose(*frontier);
    CAVS_CHECK(type < frontier->ready().size() && !frontier->ready()[type].empty(),
               ErrorKind::kValue,
               "[policy] expected the number of a type with ready vertices among ",
               frontier->ready().size(), " types, got ", type, "; name one of those");
    frontier->run(type, &found.vertices);
    found.end(static_cast<int>(type));
  }
  return found;
}

}  // namespace cavs
