// How many rows the spaces of a program have in a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"
#include "program/program.h"

namespace cavs {

struct RowCounts {
  int64_t vertices = 0, leaves = 0, edges = 0, graphs = 0;
  std::vector<int64_t> uniques;

  explicit RowCounts(const Schedule& schedule)
      : vertices(schedule.num_vertices),
        leaves(schedule.num_leaves),
        edges(schedule.num_edges),
        graphs(schedule.num_graphs) {}

  // Number of rows of the space. For leaves and inner vertices it counts all vertices, because they
  // keep their numbers; rows first(space)..last(space) - 1 are in use.
  int64_t of(const Space& space) const;
  int64_t first(const Space& space) const { return space.kind == SpaceKind::kInner ? leaves : 0; }
  int64_t last(const Space& space) const {
    return space.kind == SpaceKind::kLeaf ? leaves : of(space);
  }
  int64_t used(const Space& space) const { return last(space) - first(space); }
};

}  // namespace cavs
