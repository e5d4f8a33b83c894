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
  // The segment of a step, or of the end their number.
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

struct Layout {
  // [value] steps; last < first: not in the arena, or not used. Of forward, `last` of what backward
  // reads is the number of steps.
  std::vector<int> first, last;
  std::vector<Space> used;       // [value] rows in use: its own, or of a forward value those that
                                 // backward reads
  std::vector<int> confined;     // [value] the segment that has its whole life, in which a row is
                                 // written and read with rows of the same chunk alone; or -1
  std::vector<RowPlace> places;  // [value] in whose rows it stands
  std::vector<int> held_last;  // [value] last step for which its memory is held, that of values in
                               // its rows included; -1 where it has none of its own
};

// Of an executable of which all but the layouts is known. With `keep`, what backward reads outlives
// a forward program.
Layout make_layout(const Executable& exe, bool keep);

}  // namespace cavs
