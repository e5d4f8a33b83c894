// Which values share memory: offsets from sizes and lifetimes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace cavs {

// A value that is alive at the steps first..last, both included. With offset >= 0 the value already
// stands there and is not moved. With last < first it is never alive and takes no room.
struct Lifetime {
  int64_t bytes = 0;
  int first = 0;
  int last = 0;
  int64_t offset = -1;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one per value, multiples of kAlignment
  int64_t total = 0;             // end of the last region, a multiple of kAlignment
};

// Greedy best fit: from the largest value to the smallest, each goes into the narrowest gap between
// the values that are alive with it, at `start` or behind it. If a large plan then has gaps at the
// fullest step, a second plan places the values that are alive at that step first, and the better
// plan is returned. A plan takes at most the sum of the aligned sizes. For the programs that models
// lower to, it is within a few percent of the greatest sum that is alive at one step.
//
// Values that are alive at step `kept` come before all others, so that they stand side by side.
MemoryPlan plan_memory(const std::vector<Lifetime>& values, int64_t start = 0,
                       int kept = std::numeric_limits<int>::max());

}  // namespace cavs
