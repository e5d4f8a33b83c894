// The options by which users choose how the CPU runs programs.
#pragma once

#include <cstdint>

namespace cavs {

// A program takes the options over when it is made.
struct ExecutionOptions {
  int64_t chunk_rows = 256;       // rows that go through a segment's instructions together
  int64_t chunk_bytes = 1 << 20;  // fewer rows where their local values would not fit in this cache
  int64_t min_parallel_rows = 8;  // fewer rows, or less work than this, are not shared by rows
  double min_parallel_ns = 4000;
  double min_team_ns = 5000;   // other threads are asked only if they save so much in all
  double min_split_ns = 1000;  // of a product of fewer rows, for threads to share its columns
  bool compile_groups = true;  // compile elementwise groups to machine code where possible
};

ExecutionOptions execution_options();
// Throws Error(kValue) for options that nothing can run with.
void set_execution_options(const ExecutionOptions& options);

}  // namespace cavs
