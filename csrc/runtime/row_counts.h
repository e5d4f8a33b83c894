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

  // Both must outlive the counts.
  RowCounts(const Program& program, const Schedule& schedule);
  // For the spaces of a backward program of the same run.
  RowCounts of_program(const Program& program) const {
    RowCounts counts = *this;
    counts.program_ = &program;
    return counts;
  }

  // Number of rows of the space, as in an array of the caller. For leaves and inner vertices it
  // counts all vertices (of their type), because they keep their numbers.
  int64_t of(const Space& space) const { return of(*program_, space); }
  // Of a space of another program of the same run.
  int64_t of(const Program& program, const Space& space) const;
  // Rows first(space)..last(space) - 1 are in use. Rows of several types have those of the types
  // between them too.
  int64_t first(const Space& space) const {
    if (space.members >= 0) return first_of_types(space);
    return space.kind == SpaceKind::kInner ? leaves : 0;
  }
  int64_t last(const Space& space) const {
    if (space.members >= 0) return last_of_types(space);
    return space.kind == SpaceKind::kLeaf ? leaves : of(space);
  }
  // From the first to the last row in use of several spaces; 0 and 0 where they have none.
  int64_t first(const std::vector<Space>& spaces) const {
    return spaces.size() == 1 ? first(spaces[0]) : first_of_several(spaces);
  }
  int64_t last(const std::vector<Space>& spaces) const {
    return spaces.size() == 1 ? last(spaces[0]) : last_of_several(spaces);
  }
  int64_t used(const Space& space) const { return last(space) - first(space); }
  // Numbers of rows are below this.
  int64_t span(const Space& space) const { return space.members < 0 ? of(space) : last(space); }
  // Edges of a list; of all without types.
  int64_t edges_of(int list) const { return schedule_->edges[static_cast<size_t>(list)].size(); }

 private:
  TypeRows hull(const Space& space) const;
  int64_t first_of_types(const Space& space) const;
  int64_t last_of_types(const Space& space) const;
  int64_t first_of_several(const std::vector<Space>& spaces) const;
  int64_t last_of_several(const std::vector<Space>& spaces) const;

  const Program* program_;
  const Schedule* schedule_;
};

}  // namespace cavs
