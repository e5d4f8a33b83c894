// How much memory a run takes, computed without the run.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"
#include "runtime/executable.h"

namespace cavs {

// A value in the arena of a sweep, and the segments that it lives through.
struct ValueMemory {
  int value = -1;
  int64_t rows = 0;  // in use
  int64_t bytes = 0;
  int first = 0, last = 0;
};

// The arena of one sweep of a run.
struct SweepMemory {
  bool backward = false;
  int64_t total = 0;    // all of it
  int64_t tables = 0;   // of distinct ids
  int64_t threads = 0;  // workspace of the backend: on the CPU the threads' own regions
  int64_t packed = 0;   // beside the arena: weights in panels, which are kept for later runs
  std::vector<ValueMemory> values;
};

// The memory of a run of the program over a batch whose uniques have `unique_rows` rows; nothing
// runs. The greater total is the run's peak_bytes. `backward` may be null. `retain`: whether
// another backward may follow.
std::vector<SweepMemory> plan_sweeps(const Executable& exe, const Executable* backward,
                                     const Schedule& schedule,
                                     const std::vector<int64_t>& unique_rows, bool keep,
                                     int num_threads, bool retain = false);

}  // namespace cavs
