// A program made ready to run: all that depends on the program alone and on no batch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "graph/schedule.h"
#include "memory/dynamic_tensor.h"
#include "program/access.h"
#include "program/program.h"
#include "runtime/sharing.h"
#include "cpu/state_checks.h"
#include "cpu/weights.h"

namespace cavs {

// Taken over by a program when it is made.
struct ExecutionOptions {
  int64_t chunk_rows = 256;       // rows that go through a segment's instructions together
  int64_t chunk_bytes = 1 << 20;  // fewer rows where their local values would not fit in this cache
  int64_t min_parallel_rows = 8;  // fewer rows, or less work than this, are not shared by rows
  double min_parallel_ns = 4000;
  double min_team_ns = 5000;   // what other threads must save in all to be asked at all
  double min_split_ns = 1000;  // a product of fewer rows that all threads do, each its columns
  bool compile_groups = true;  // elementwise groups to machine code, where that can be
};

ExecutionOptions execution_options();
void set_execution_options(const ExecutionOptions& options);

// A value that lives in the private memory of a thread for one chunk of rows.
struct LocalValue {
  int value = -1;
  bool edge = false;        // edge rows in a segment over vertices
  int first = 0, last = 0;  // instructions of the segment
  int64_t row_bytes = 0;
};

// How many rows a thread takes at once, and where the local values stand meanwhile.
struct ChunkPlan {
  int64_t rows = 0;
  int64_t edges = 0;  // at most so many edges, save one vertex with more
  int64_t bytes = 0;
  std::vector<int64_t> offsets;  // one per local value of the segment
};

struct SegmentLayout {
  std::vector<LocalValue> locals;
  bool has_edges = false;  // edge instructions ride along
  double row_ns = 0;       // rough cost of one row, for the choice between one thread and all
  double edge_ns = 0;
  ChunkPlan chunk;

  double cost_ns(int64_t rows, int64_t edges) const { return rows * row_ns + edges * edge_ns; }
};

// Which values are local, and how long the others live.
struct Layout {
  // [value] segments; last < first: not in the arena, or not used. Of forward, `last` of what
  // backward reads is the number of segments.
  std::vector<int> first, last;
  std::vector<Space> used;       // [value] rows in use: its own, or of a forward value those that
                                 // backward reads
  std::vector<int> local;        // [value] index in its segment's locals, or -1
  std::vector<RowPlace> places;  // [value] in whose rows it stands
  std::vector<int> held_last;  // [value] last segment for which its memory is held, that of values
                               // in its rows included; -1 where it has none of its own
  std::vector<SegmentLayout> segments;
};

struct Executable {
  Program program;
  std::shared_ptr<const Executable> forward;  // of a backward program
  ExecutionOptions options;
  std::vector<Root> roots;  // [value]
  std::vector<DynamicTensor>
      forms;                      // [value] size, dtype and ld; the rows and offset are the run's
  Layout kept, dropped;           // with and without keeping what backward reads
  std::vector<int> parent_lists;  // uniques whose rows' edges to parents the program reads
  std::vector<int> array_counts;  // least number of params, inputs, outputs
  bool leaves_first = false;      // has rows of leaves or inner vertices, which must stand apart
  std::shared_ptr<Block> constants;  // one kAlignment slot per value
  WeightUses weights;
  StateWrites state_writes;
  std::shared_ptr<WeightStore> packed;
  // The most memory that a run took so far: lets the next one take an arena that need not grow.
  mutable std::atomic<int64_t> expected_bytes{0};

  const Layout& layout(bool keep) const { return keep ? kept : dropped; }
};

// Throws Error(kValue) where the schedule does not number the vertices as the program needs them.
void check_schedule(const Executable& exe, const Schedule& schedule);

// Validates the program (see program/validate.h) and works out its layout.
std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward);

// Rough cost of a row of a matmul.
double product_row_ns(const Instruction& instruction);

// Whether a product over so few rows that threads do not share them takes long enough that they
// share its columns: longer than a meeting, and than bringing what helpers computed to the leader.
bool worth_splitting(const Executable& exe, const Instruction& instruction, int64_t rows);

// The segment's chunk for a batch in which a vertex has at most `max_arity` children.
ChunkPlan plan_chunk(const SegmentLayout& segment, const ExecutionOptions& options,
                     int64_t max_arity);

}  // namespace cavs
