// What users may choose of how the CPU runs programs.
#pragma once

#include <cstdint>

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
// Throws Error(kValue) for options that nothing can run with.
void set_execution_options(const ExecutionOptions& options);

}  // namespace cavs
