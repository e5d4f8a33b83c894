// Batches that do not wait for each other, and how threads share their rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/prepared.h"
#include "graph/schedule.h"

namespace cavs {

// A batch as a segment runs it.
struct Turn {
  int segment = 0;
  int64_t batch = 0;           // its number in the schedule
  int64_t begin = 0, end = 0;  // vertex rows
  double cost_ns = 0;          // roughly

  int64_t rows() const { return end - begin; }
};

// The batches of a step.
struct Turns {
  std::vector<Turn> turns;  // in the order in which one thread runs them
  int64_t rows = 0;         // of all of them
  double cost_ns = 0;
};

// How a segment runs a batch; false where none does. `segments`: by type the segment that runs its
// batches; -1: none does. Leaves are left out where their segment has run before. Without a cost.
bool find_turn(const CpuProgram& prepared, const Schedule& schedule,
               const std::vector<int>& segments, int64_t batch, Turn* turn);

// The batches of a step with their costs, in reverse where the program runs backward.
void find_turns(const CpuProgram& prepared, const Schedule& schedule,
                const std::vector<int>& segments, size_t step, bool backward, Turns* turns);

// A row of a turn, among those of a step one after the other.
struct TurnRow {
  size_t turn = 0;
  int64_t row = 0;
};

// Where part `part` of `parts` begins, so that parts cost about the same. A small batch goes whole
// to one part, because each part that has rows of a batch reads its weights anew.
TurnRow first_of_part(const CpuProgram& prepared, const Schedule& schedule, const Turns& turns,
                      int part, int parts);

// The row of [begin, end) before which the rows, with their edges, are `share` / `whole` of all.
int64_t row_at(const PreparedSegment& segment, const Schedule& schedule, int64_t begin, int64_t end,
               int64_t share, int64_t whole);

}  // namespace cavs
