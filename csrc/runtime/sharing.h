// Which values stand in the rows of others: worked out with the program, so that it holds for any
// batch.
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

// Completes a layout whose lifetimes are known. With `groups`, of a forward program whose values
// are kept, what backward reads of one elementwise group over levels stands side by side in rows
// that they have in common. A value of which backward has read a row for the last time then gives
// that row to one that is written from there on, in the same step: both are alive in it, and the
// planner, which counts in steps, would keep them apart.
void share_rows(const Executable& exe, bool groups, Layout* layout);

}  // namespace cavs
