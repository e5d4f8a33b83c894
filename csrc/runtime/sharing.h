// Which values stand in the rows of other values. It is worked out with the program and holds for
// any batch.
#pragma once

#include <cstdint>

namespace cavs {

struct Executable;
struct Layout;

// Where the rows of a value in the arena stand: in those of `holder`, which has the memory.
struct RowPlace {
  int holder = -1;     // itself, where it shares with no other value
  int64_t column = 0;  // in bytes, of the holder's rows
  int64_t ld = 0;      // elements from row to row
  bool whole = true;   // while it lives, no other value has elements of its rows
};

// Completes a layout whose lifetimes are known. `groups` is set for a forward program whose values
// are kept: the values that backward reads of one elementwise group over levels then stand side by
// side in common rows. When a row of a value is read for the last time, a value that is written
// from there on may take the row over in the same step. Both values are alive in that step, and the
// planner, which counts in steps, would keep them apart.
void share_rows(const Executable& exe, bool groups, Layout* layout);

}  // namespace cavs
