// Memory of one phase of a run. The run and the dry run use the same functions, so they agree.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"
#include "memory/planner.h"
#include "runtime/executable.h"

namespace cavs {

struct RowCounts {
  int64_t vertices = 0, leaves = 0, edges = 0, graphs = 0;
  std::vector<int64_t> uniques;

  explicit RowCounts(const Schedule& schedule)
      : vertices(schedule.num_vertices),
        leaves(schedule.num_leaves),
        edges(schedule.num_edges),
        graphs(schedule.num_graphs) {}

  // Rows of the space, of leaves and inner vertices those of all vertices, whose numbers they keep;
  // those in use are first(space)..last(space) - 1.
  int64_t of(const Space& space) const;
  int64_t first(const Space& space) const { return space.kind == SpaceKind::kInner ? leaves : 0; }
  int64_t last(const Space& space) const {
    return space.kind == SpaceKind::kLeaf ? leaves : of(space);
  }
};

// The arena of a phase: [tables of the uniques][values][lists of parents of the uniques][one
// private region per thread].
struct PhasePlan {
  int threads = 1;                  // at most
  double saved_ns = 0;              // by them, roughly
  std::vector<Lifetime> lifetimes;  // [value] by segments
  std::vector<int64_t> rows;        // [value] that there is room for: those in use
  // [value] where its row 0 would stand in the arena, before its start where the rows in use begin
  // later; meaningless for a value that is not there.
  std::vector<int64_t> origins;
  std::vector<ChunkPlan> chunks;  // [segment]
  int64_t lists_offset = 0;       // of the lists of parents, one after the other
  int64_t thread_offset = 0;      // of thread 0's region: kScratchBytes, then the local values
  int64_t thread_bytes = 0;
  int64_t total = 0;
};

// Rows that a table of distinct ids has room for: those that the ids are counted among, since
// nobody knows the tuples' number before.
int64_t unique_base_rows(const Program& program, const RowCounts& counts, size_t unique);

// Bytes at the start of the arena that the tables of a program's uniques take.
int64_t unique_section_bytes(const Program& program, const RowCounts& counts);

// Edges in which the rows of a program's unique are children.
int64_t count_parents(const Space& base, const RowCounts& counts, const Schedule& schedule);

// Bytes of the lists of parents that the program reads.
int64_t parent_lists_bytes(const Executable& exe, const RowCounts& counts,
                           const Schedule& schedule);

// Whether all threads should share a unit of work (a segment, or one level of it).
bool worth_threads(const Executable& exe, const SegmentLayout& segment, int64_t rows,
                   int64_t edges);

PhasePlan plan_forward(const Executable& exe, bool keep, const RowCounts& counts,
                       const Schedule& schedule, int threads);
PhasePlan plan_backward(const Executable& exe, const PhasePlan& forward, const RowCounts& counts,
                        const Schedule& schedule, int threads);

}  // namespace cavs
