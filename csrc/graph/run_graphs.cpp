// Graphs whose child lists are runs, and what writes runs out.
#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "graph/graph_batch.h"
#include "graph/graph_checks.h"

namespace cavs {
namespace {

// The run of one vertex of a graph of `size` vertices.
struct Run {
  int64_t num_graphs, graph, vertex, first, count, size;
  std::string name() const {
    return graph_name(num_graphs, graph, ", ") + "vertex " + std::to_string(vertex);
  }
};

// Whether the run lies within its graph, on one side of its vertex: below it or above, if one of
// them is wanted. Gives whether it lies below.
bool check_run(const Run& run, const bool* below) {
  CAVS_CHECK(run.count >= 0, ErrorKind::kGraph, "[graph] ", run.name(),
             ": expected a count of 0 or more, got ", run.count, "; correct count");
  CAVS_CHECK(run.count == 0 || (run.first >= 0 && run.first < run.size), ErrorKind::kGraph,
             "[graph] ", run.name(), ": expected its first child in 0..", run.size - 1, ", got ",
             run.first, "; correct first");
  CAVS_CHECK(run.count <= run.size - run.first, ErrorKind::kGraph, "[graph] ", run.name(),
             ": expected at most ", run.size - run.first, " children from vertex ", run.first,
             " on, got ", run.count, "; correct count");
  const int64_t last = run.first + run.count - 1;
  const bool is_below = last<run.vertex, is_above = run.first> run.vertex;
  const char* where = below == nullptr ? "before it or behind it"
                      : *below         ? "before it, as those of other vertices"
                                       : "behind it, as those of other vertices";
  CAVS_CHECK(below == nullptr ? is_below || is_above : (*below ? is_below : is_above),
             ErrorKind::kGraph, "[graph] ", run.name(), ": expected all children ", where,
             ", got vertices ", run.first, " to ", last, "; correct first and count");
  return is_below;
}

bool same_children(const GraphBatch& a, const GraphBatch& b) {
  if (!a.has_runs() && !b.has_runs()) return a.lists == b.lists;
  if (!a.has_runs()) return same_children(b, a);
  for (int64_t v = 0; v < a.num_vertices(); ++v) {
    const int32_t begin = a.child_ptr[v], end = a.child_ptr[v + 1];
    if (b.has_runs()) {
      if (a.first[v] != b.first[v]) return false;
      continue;
    }
    for (int32_t e = begin; e < end; ++e) {
      if (b.lists[e] != a.first[v] + e - begin) return false;
    }
  }
  return true;
}

}  // namespace

// Behind a pointer, because copies of a batch, which is immutable, may share it.
struct GraphBatch::WrittenOut {
  std::once_flag once;
  std::vector<int32_t> children;
};

const std::vector<int32_t>& GraphBatch::children() const {
  if (!has_runs()) return lists;
  std::call_once(written_out_->once, [this] {
    std::vector<int32_t> all(static_cast<size_t>(num_edges()));
    for (size_t v = 0; v < first.size(); ++v) {
      std::iota(all.begin() + child_ptr[v], all.begin() + child_ptr[v + 1], first[v]);
    }
    written_out_->children = std::move(all);
  });
  return written_out_->children;
}

void set_runs(std::vector<int32_t> first, GraphBatch* batch) {
  batch->first = std::move(first);
  batch->written_out_ = std::make_shared<GraphBatch::WrittenOut>();
}

GraphBatch make_run_batch(const std::vector<int64_t>& ptr, const std::vector<int64_t>& first,
                          const std::vector<int64_t>& count) {
  check_graph_offsets(ptr);
  check_total(ptr.back(), "vertices");
  check_length(first.size(), ptr.back(), "first", "one for each vertex");
  check_length(count.size(), ptr.back(), "count", "one for each vertex");
  GraphBatch batch;
  batch.ptr.assign(ptr.begin(), ptr.end());
  batch.child_ptr.reserve(first.size() + 1);
  std::vector<int32_t> starts(first.size());
  int64_t edges = 0;
  const auto num_graphs = static_cast<int64_t>(ptr.size()) - 1;
  for (int64_t g = 0; g < num_graphs; ++g) {
    std::optional<bool> below;  // what the first vertex with children says of all
    for (int64_t v = ptr[g]; v < ptr[g + 1]; ++v) {
      starts[v] = static_cast<int32_t>(ptr[g]);
      if (count[v] != 0) {
        const Run run{num_graphs, g, v - ptr[g], first[v], count[v], ptr[g + 1] - ptr[g]};
        below = check_run(run, below ? &*below : nullptr);
        starts[v] += static_cast<int32_t>(first[v]);
      }
      edges += count[v];
      check_total(edges, "edges");
      batch.child_ptr.push_back(static_cast<int32_t>(edges));
    }
    batch.edge_ptr.push_back(static_cast<int32_t>(edges));
  }
  set_runs(std::move(starts), &batch);
  return batch;
}

GraphBatch causal_chain(int64_t length, int64_t window, int64_t memory) {
  check_total(length, "vertices");
  check_total(memory, "vertices");
  check_total(length + memory, "vertices");
  const int64_t size = length + memory, most = window < 0 ? size : std::min(window, size);
  // Before anything is made: vertices up to `most` see all before them, the others `most`.
  const int64_t full = std::max(memory, most);
  check_total((full - memory) * (full + memory - 1) / 2 + (size - full) * most, "edges");
  GraphBatch batch;
  std::vector<int32_t> first(static_cast<size_t>(size), 0);
  batch.child_ptr.assign(first.size() + 1, 0);
  for (int64_t v = memory; v < size; ++v) {
    const auto count = static_cast<int32_t>(std::min(most, v));
    if (count > 0) first[v] = static_cast<int32_t>(v) - count;
    batch.child_ptr[v + 1] = batch.child_ptr[v] + count;
  }
  batch.ptr.push_back(static_cast<int32_t>(size));
  batch.edge_ptr.push_back(batch.child_ptr.back());
  set_runs(std::move(first), &batch);
  return batch;
}

bool same_graphs(const GraphBatch& a, const GraphBatch& b) {
  return a.ptr == b.ptr && a.child_ptr == b.child_ptr && a.slots == b.slots && a.types == b.types &&
         same_children(a, b);
}

}  // namespace cavs
