// Depths and readable children of vertices whose children are runs.
#include "graph/batching_runs.h"

#include <algorithm>
#include <utility>

#include "graph/child_runs.h"

namespace cavs {
namespace {

// Whether all children of another type that run have a lower rank than their parent. Of ranks and
// types together the greatest is a child's; with types counted the other way round too, so that two
// types of one rank show.
bool ranks_ascend(const RunPlaces& places, const std::vector<int32_t>& types,
                  const std::vector<char>& runs, const std::vector<int>& ranks) {
  const auto kinds = static_cast<int32_t>(ranks.size());
  for (const bool turned : {false, true}) {
    bool ascend = true;
    const auto rank = [&](int32_t p) {
      const int32_t v = places.vertex[p];
      if (!runs[v]) return -1;
      return ranks[types[v]] * kinds + (turned ? kinds - 1 - types[v] : types[v]);
    };
    greatest_of_children(places, rank, [&](int32_t p, int32_t greatest) {
      const int32_t own = rank(p);
      if (own < 0 || greatest < 0 || greatest == own) return;
      if (greatest / kinds >= own / kinds) ascend = false;
    });
    if (!ascend) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<int32_t>> depths_in_runs(const GraphBatch& batch,
                                                   const std::vector<int32_t>& types,
                                                   const std::vector<char>& runs,
                                                   const std::vector<int>& ranks) {
  const RunPlaces places(batch);
  if (!ranks_ascend(places, types, runs, ranks)) return std::nullopt;
  std::vector<int32_t> depths(runs.size(), 0);
  // Type by type, among its own places alone, so that all types together take one pass.
  std::vector<int32_t> before(runs.size() + 1, 0), own;
  for (int32_t type = 0; type < static_cast<int32_t>(ranks.size()); ++type) {
    own.clear();
    for (size_t p = 0; p < runs.size(); ++p) {
      const int32_t v = places.vertex[p];
      if (runs[v] && types[v] == type) own.push_back(v);
      before[p + 1] = static_cast<int32_t>(own.size());
    }
    const auto count = static_cast<int32_t>(own.size());
    greatest_in_runs(
        count, count,
        [&](int32_t i) {
          const int32_t p = places.vertex[own[i]];
          return std::pair(before[places.low[p]], before[places.high[p]]);
        },
        [&](int32_t i) { return depths[own[i]]; },
        [&](int32_t i, int32_t greatest) { depths[own[i]] = greatest + 1; });
  }
  return depths;
}

std::vector<char> with_other_children(const GraphBatch& batch, const std::vector<int32_t>& types,
                                      const std::vector<char>& plain) {
  size_t count = 0;
  while (count * count < plain.size()) ++count;
  std::vector<char> found(types.size(), 0);
  std::vector<int32_t> before(types.size() + 1, 0);  // [vertex] those before it that are not plain
  for (size_t type = 0; type < count; ++type) {
    const char* row = plain.data() + type * count;
    if (std::all_of(row, row + count, [](char is_plain) { return is_plain != 0; })) continue;
    for (size_t v = 0; v < types.size(); ++v) before[v + 1] = before[v] + (row[types[v]] == 0);
    for (size_t v = 0; v < types.size(); ++v) {
      if (types[v] != static_cast<int32_t>(type)) continue;
      const int32_t first = batch.first[v];
      const int32_t end = first + batch.child_ptr[v + 1] - batch.child_ptr[v];
      found[v] = before[end] > before[first];
    }
  }
  return found;
}

}  // namespace cavs
