// What batching asks of graphs whose child lists are runs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/graph_batch.h"

namespace cavs {

// [vertex] its depth among the vertices of its own type that run, of a batch with runs; nothing
// where a vertex has a child of another type whose rank is not below its own. `ranks`: of types.
std::optional<std::vector<int32_t>> depths_in_runs(const GraphBatch& batch,
                                                   const std::vector<int32_t>& types,
                                                   const std::vector<char>& runs,
                                                   const std::vector<int>& ranks);

// [vertex] of a batch with runs: whether it has a child for whose type plain[own type][child's
// type] is 0.
std::vector<char> with_other_children(const GraphBatch& batch, const std::vector<int32_t>& types,
                                      const std::vector<char>& plain);

}  // namespace cavs
