// Which levels of a batch go together in one launch, and why others are launches of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/levels/levels_steps.h"
#include "runtime/backend.h"

namespace cavs::cuda {

class LevelsCode;

// Rows of a level, or its edges.
int64_t rows_of_level(const Schedule& schedule, int64_t level, bool edges);

// How many levels from `level` on, in the program's direction, have so few rows that a kernel of
// several levels takes them. `calls`: of the segment's instructions and of the sums that follow;
// their rows do not matter.
int64_t count_narrow(const Program& program, size_t segment, const std::vector<BoundCall>& calls,
                     const Schedule& schedule, int64_t level);

constexpr int64_t kFewestLevels = 2;  // that a launch of its own is worth

struct LevelsChoice {
  int64_t levels = 0;    // of the batch, in which the segment has rows
  int64_t together = 0;  // in launches of several levels
  std::string why_not;   // why the others are not; empty where there are none
};

// As far as it is known without addresses.
LevelsChoice choose_levels(const LevelsCode& code, const Program& program, size_t segment,
                           const Schedule& schedule);

}  // namespace cavs::cuda
