// A program made ready to run: all that depends on the program alone and on no batch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "graph/schedule.h"
#include "memory/dynamic_tensor.h"
#include "program/access.h"
#include "program/program.h"
#include "runtime/backend.h"
#include "runtime/layout.h"
#include "runtime/states.h"

namespace cavs {

// Rows that an operand must have, because a list of edges leads to them: at a slot, or at any.
struct ChildRows {
  int edges = 0, slot = kAllSlots, members = -1;
};

// Rows of vertices, or of a list of edges, for which random numbers are drawn.
struct SampledLists {
  SampledRows rows = SampledRows::kVertex;
  int edges = 0;
};

struct Executable {
  Program program;
  std::shared_ptr<const Executable> forward;  // of a backward program
  Backend* backend = nullptr;                 // that it is made for
  std::vector<Root> roots;                    // [value]
  std::vector<DynamicTensor>
      forms;             // [value] size, dtype and ld; the rows and offset are the run's
  Layout kept, dropped;  // with and without keeping values that backward reads
  std::vector<ParentList> parent_lists;  // that the program reads
  std::vector<ChildRows> child_rows;     // in a program of types
  std::vector<SampledLists> sampled;     // rows for which random numbers are drawn
  std::vector<int> held_states;          // values of role kState, by their index
  bool holds_states = false;      // whether the caller holds the states, of which there may be none
  std::vector<int> array_counts;  // least number of params, inputs, outputs
  bool leaves_first = false;      // has rows of leaves or inner vertices, which must stand apart
  ProgramSteps steps;
  StateWrites state_writes;
  std::shared_ptr<const Prepared> prepared;  // by the backend
  // The most memory that a run took so far, so that the next run takes an arena that need not grow.
  mutable std::atomic<int64_t> expected_bytes{0};

  // Of a backward program the values before this one are its forward program's.
  size_t first_value() const { return forward ? forward->program.values.size() : 0; }

  const Layout& layout(bool keep) const { return keep ? kept : dropped; }
  // Of a backward program. With `retain` another backward may follow; few programs are ever run so,
  // and that layout is made when it is first asked for.
  const Layout& backward_layout(bool retain) const;

 private:
  mutable std::once_flag retaining_once_;
  mutable std::unique_ptr<const Layout> retaining_;
};

// Throws Error(kValue) where the schedule does not number the vertices as the program needs them.
void check_schedule(const Executable& exe, const Schedule& schedule);

// Validates the program (see program/validate.h), works out its layouts and has the backend prepare
// it. With `hold_states` the caller of its runs holds the states, see Role::kState. Throws
// Error(kValue) where the backend does not support an instruction.
std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward,
                                                  Backend& backend, bool hold_states = false);
// For the backend of the program's device.
std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward,
                                                  bool hold_states = false);

}  // namespace cavs
