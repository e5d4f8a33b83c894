// How long the values of a program live and in whose rows they stand, for any batch.
#pragma once

#include <vector>

#include "program/program.h"
#include "runtime/sharing.h"

namespace cavs {

struct Executable;

// The steps of a program that lifetimes are counted in (see Steps).
class ProgramSteps {
 public:
  ProgramSteps() = default;
  ProgramSteps(const Program& program, bool by_instruction);

  int count() const { return static_cast<int>(segments_.size()); }
  int of(int segment, int instruction) const {
    const Range& range = ranges_[static_cast<size_t>(segment)];
    return range.by_instruction ? range.first + instruction : range.first;
  }
  // The segment of a step; for the end, the number of segments.
  int segment_of(int step) const {
    return step < count() ? segments_[static_cast<size_t>(step)] : static_cast<int>(ranges_.size());
  }

 private:
  struct Range {
    int first = 0;
    bool by_instruction = false;
  };
  std::vector<Range> ranges_;  // [segment]
  std::vector<int> segments_;  // [step]
};

// The rows of a value for which there is memory: those of some spaces, and all between them.
struct RowsInUse {
  std::vector<Space> parts;

  // Rows of these too. Without types these are then all rows of the value, which are `whole`.
  void add(const Space& rows, const Space& whole);
};

struct Layout {
  // [value] steps. last < first: the value is not in the arena, or not used. In a forward program,
  // `last` of a value that backward reads is the number of steps.
  std::vector<int> first, last;
  std::vector<RowsInUse> used;  // [value] its own, or for a forward value those that backward reads
  std::vector<int> confined;    // [value] the segment that holds its whole life, where each row is
                                // written and read only with rows of the same chunk; or -1
  std::vector<RowPlace> places;  // [value] in whose rows it stands
  std::vector<int> held_last;  // [value] last step for which its memory is held, also for values in
                               // its rows; -1 where it has no memory of its own
};

// The executable is complete but for its layouts and `prepared`. With `keep`, values that backward
// reads outlive a forward program.
Layout make_layout(const Executable& exe, bool keep);

// The layout of a backward program after which another backward program of the same run may follow:
// all values that any of them reads outlive it, in their own rows.
Layout make_retaining_layout(const Executable& exe);

}  // namespace cavs
