// Memory of one sweep of a run. The run and the dry run use the same functions, so they agree.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/schedule.h"
#include "memory/planner.h"
#include "runtime/backend.h"
#include "runtime/executable.h"
#include "runtime/row_counts.h"

namespace cavs {

// The arena of a sweep: [tables of the uniques][what the device stages][values][lists of parents of
// the uniques][workspace of the backend].
struct SweepPlan {
  std::vector<Lifetime> lifetimes;  // [value] by steps
  std::vector<int64_t> rows;        // [value] the rows in use, which have room
  // [value] where its row 0 would stand in the arena. Where the rows in use begin later, this may
  // be before the arena's start. Without meaning for a value that is not in the arena.
  std::vector<int64_t> origins;
  int64_t staged_offset = 0;
  std::shared_ptr<const Staged> staged;  // by the forward sweep, for all sweeps of the run
  int64_t lists_offset = 0;              // of the lists of parents, one after the other
  int64_t workspace_offset = 0;
  std::unique_ptr<const Workspace> workspace;
  int64_t total = 0;
};

// Rows that a table of distinct ids has room for: the rows that the ids are counted among, because
// the number of tuples is not known before.
int64_t unique_base_rows(const Program& program, const RowCounts& counts, size_t unique);

// Bytes at the start of the arena that the tables of a program's uniques take.
int64_t unique_section_bytes(const Program& program, const RowCounts& counts);

// Edges of a list in which the rows of a program's unique are children.
int64_t count_parents(const Space& base, const RowCounts& counts, const Schedule& schedule,
                      int list);

// Bytes of the lists of parents that the program reads. None where the host does not reach the
// arena: then the backend makes the lists.
int64_t parent_lists_bytes(const Executable& exe, const RowCounts& counts,
                           const Schedule& schedule);

SweepPlan plan_forward(const Executable& exe, bool keep, const RowCounts& counts,
                       const Schedule& schedule, int threads);
// `retain`: whether another backward may follow.
SweepPlan plan_backward(const Executable& exe, bool retain, const SweepPlan& forward,
                        const RowCounts& counts, const Schedule& schedule, int threads);

}  // namespace cavs
