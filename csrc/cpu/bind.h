// One direction of a run, bound to its batch and its memory: calls that only lack their rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/kernel.h"
#include "graph/schedule.h"
#include "memory/arena.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/unique.h"

namespace cavs {

// An array of the caller, dense.
struct ExternalArray {
  void* data = nullptr;
  int64_t elements = 0;
  DType dtype = DType::kFloat32;
  int64_t version = -1;  // of a parameter: changes with its values; negative where unknown
};

struct ArrayLists {
  std::vector<ExternalArray> params, inputs, outputs;
};

// A local operand: before each chunk its data pointer is moved so that the chunk's row numbers
// reach the thread's private rows.
struct Patch {
  int operand = 0;
  bool edge = false;
  int64_t row_bytes = 0;
  std::byte* base = nullptr;
};

// What one thread works with; the operands of a call are consecutive, inputs then outputs.
struct ThreadCode {
  std::vector<Operand> operands;
  std::vector<KernelCall> calls;
  std::vector<Patch> patches;
};

struct SegmentCode {
  int call_begin = 0, call_end = 0;
  int patch_begin = 0, patch_end = 0;
};

// A weight of this phase in panels; `fresh` where they must be made first.
struct PackedWeight {
  std::shared_ptr<Block> panels;
  const void* weight = nullptr;
  int64_t version = -1;
  bool fresh = false;
};

struct CallProfile {
  int64_t calls = 0, rows = 0, ns = 0;
};

// What one thread did in a phase.
struct ThreadProfile {
  std::vector<CallProfile> calls;  // [call]
  int64_t packing_ns = 0;          // weights into panels
  int64_t parts_ns = 0;            // its parts of work that was shared, packing among them
  int64_t shares_ns = 0;           // of thread 0: all of that work, from first part to last
};

struct Phase {
  const Executable* exe = nullptr;
  const Layout* layout = nullptr;
  const Schedule* schedule = nullptr;
  const RowCounts* counts = nullptr;
  const PhasePlan* plan = nullptr;
  std::vector<PackedWeight> weights;  // [use]
  std::vector<SegmentCode> segments;
  std::vector<const Instruction*> instructions;  // [call]
  std::vector<bool> splittable;                  // [call] a product whose columns threads may share
  std::vector<IndexTable> tables;                // of all calls, shared by the threads
  std::vector<ThreadCode> threads;
  std::vector<ThreadProfile> profile;                        // [thread]; empty where not asked for
  FirstNan* first_nan = nullptr;                             // where states are to be looked at
  std::vector<const std::vector<StateWrite>*> state_writes;  // [call]; empty where they are not
};

// What a phase is bound to.
struct PhaseSources {
  const Arena* arena = nullptr;
  const std::vector<UniqueTable>* uniques = nullptr;
  const std::vector<UniqueParents>* parents = nullptr;  // [unique]
  const RandomContext* random = nullptr;
  const ArrayLists* own = nullptr;      // of the program itself
  const ArrayLists* forward = nullptr;  // of its forward program, whose values it may read
};

// Throws Error(kShape) or Error(kValue) where an array is missing, or is not of the dtype and size
// that its value needs.
void check_arrays(const Executable& exe, const RowCounts& counts, const ArrayLists& arrays);

// Fills segments, instructions, tables and threads of a phase whose other members are set.
void bind_phase(const PhaseSources& sources, Phase* phase);

// Runs all segments. Rethrows what a kernel threw, after all threads came to the end.
void run_phase(Phase& phase);

}  // namespace cavs
