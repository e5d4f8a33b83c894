// The cost of work on a core, and how many threads the work is worth.
#pragma once

#include <cstdint>

#include "cpu/options.h"
#include "graph/schedule.h"
#include "program/program.h"
#include "runtime/row_counts.h"

namespace cavs {

struct CpuProgram;
struct Executable;
struct PreparedSegment;

// Rough cost of a row of an instruction.
double row_ns(const Program& program, const Instruction& instruction);

// Whether all threads should share a unit of work (a segment, or one level of it) by rows.
bool worth_threads(const ExecutionOptions& options, int64_t rows, double cost_ns);

// Whether threads should share the columns of a product whose rows are too few to share. The
// product must take longer than a meeting, and longer than it takes to bring the helpers' results
// to the leader.
bool worth_splitting(const ExecutionOptions& options, DType dtype, const Instruction& product,
                     int64_t rows);

struct ThreadChoice {
  int threads = 1;      // at most
  double saved_ns = 0;  // by the threads, roughly
};

// One thread where helpers would save next to nothing.
ThreadChoice choose_threads(const Executable& exe, const CpuProgram& prepared,
                            const RowCounts& counts, const Schedule& schedule, int threads);

}  // namespace cavs
