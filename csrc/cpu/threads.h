// What work costs on a core, and how many threads it is worth.
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
bool worth_threads(const ExecutionOptions& options, const PreparedSegment& segment, int64_t rows,
                   int64_t edges);

// Whether a product over so few rows that threads do not share them takes long enough that they
// share its columns: longer than a meeting, and than bringing what helpers computed to the leader.
bool worth_splitting(const ExecutionOptions& options, DType dtype, const Instruction& product,
                     int64_t rows);

struct ThreadChoice {
  int threads = 1;      // at most
  double saved_ns = 0;  // by them, roughly
};

// One thread where helpers would save next to nothing.
ThreadChoice choose_threads(const Executable& exe, const CpuProgram& prepared,
                            const RowCounts& counts, const Schedule& schedule, int threads);

}  // namespace cavs
