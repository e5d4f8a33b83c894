// Which instructions write states, and where the first NaN in a state was found.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "program/access.h"
#include "program/program.h"

namespace cavs {

// Elements of a state in a row that an instruction writes.
struct StateWrite {
  int state = -1;      // its number in Program::states
  int output = 0;      // of the instruction
  int64_t column = 0;  // from the output's first element
  int64_t size = 0;
};

// [segment][instruction]
using StateWrites = std::vector<std::vector<std::vector<StateWrite>>>;

StateWrites find_state_writes(const Program& program, const std::vector<Root>& roots);

// The first NaN of a run's states, by row, because children have smaller rows, and within a row by
// state.
class FirstNan {
 public:
  void note(int64_t row, int state) { note_place(place_of(row, state)); }
  // A row and state as one number, by which devices look for the first: smaller is earlier.
  static int64_t place_of(int64_t row, int state) { return row << kStateBits | state; }
  void note_place(int64_t place);
  bool found() const { return place_ != kNone; }
  int64_t row() const { return place_ >> kStateBits; }
  int state() const { return static_cast<int>(place_ & ((1 << kStateBits) - 1)); }

  static constexpr int kStateBits = 16;

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> place_{kNone};
};

}  // namespace cavs
