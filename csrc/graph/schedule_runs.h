// The part of schedules that knows runs of children.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"

namespace cavs {

// The edges of a list of a function of types, of a batch with runs; `schedule` has its vertices.
// Slots are those of a batch with lists: children of the list's type are counted, if it has one.
EdgeRows edges_of_runs(const GraphBatch& batch, const std::vector<int32_t>& types,
                       const TypeOrder::Edges& list, const Schedule& schedule);

// See Schedule::runs.
ChildRuns find_runs(const Schedule& schedule, int list);

// Of a batch with runs: what Schedule::order_of_edges, child_of_edges, slot and, where the number
// of slots is not 0, parents say.
std::vector<int32_t> order_of_runs(const Schedule& schedule, int list);
std::vector<int32_t> children_of_runs(const Schedule& schedule, int list);
std::vector<int32_t> children_of_runs_at(int slot, const Schedule& schedule, int list);
ParentRows parents_of_runs_at(int slots, const Schedule& schedule, int list);

// The vertex rows that are children by a list of edges, ascending by user's vertex.
std::vector<int32_t> rows_in_runs(const Schedule& schedule, int list);

// Raises `latest` of each vertex row to the greatest `batch_of` of its children by the list.
void raise_to_children(const Schedule& schedule, int list, const std::vector<int32_t>& batch_of,
                       std::vector<int32_t>* latest);

}  // namespace cavs
