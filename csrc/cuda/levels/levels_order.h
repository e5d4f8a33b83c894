// In which order a kernel that runs many levels does its instructions, with as few barriers as
// their dependencies allow.
#pragma once

#include <vector>

#include "runtime/executable.h"

namespace cavs::cuda {

// Columns of a value's rows that an instruction reads or writes.
struct Touch {
  int memory = 0;              // values with the same number may share rows
  int64_t begin = 0, end = 0;  // bytes of a row
  int64_t distance = 0;        // bytes from row to row
  bool written = false;
  bool by_element = false;  // of row r and column c by the thread that has this place
};

// What a step touches. Steps of one `kind` (not 0) give the same place to the same thread. Steps of
// one call do not depend on each other.
struct StepTouches {
  std::vector<Touch> touches;
  int kind = 0;
  int call = 0;
};

// `columns` columns of a value's rows in a layout, from the value's first.
Touch touch_of(const Executable& exe, const Layout& layout, int value, int64_t columns,
               bool written);

// Step i runs for a level at times[i], for the next level `rounds` later, and so on; all that runs
// at one time needs no barrier, and all of one time is done before the next begins. Times that are
// `rounds` or more belong to a level while the next ones have begun.
struct LevelsOrder {
  int rounds = 1;
  std::vector<int> times;

  int round(size_t step) const { return times[step] % rounds; }
  int levels_behind(size_t step) const { return times[step] / rounds; }
};

// The order with the fewest rounds. Whatever two steps touch, one of them to write it, they do in
// the order of levels, and within a level in their own, with a barrier between; but not where each
// element is a matter of one thread.
LevelsOrder order_levels(const std::vector<StepTouches>& steps);

}  // namespace cavs::cuda
