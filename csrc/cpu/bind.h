// One sweep of a run, forward or backward, bound to its batch and its memory: calls that only lack
// their rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/prepared.h"
#include "cpu/workspace.h"
#include "runtime/backend.h"

namespace cavs {

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

struct PatchRange {
  int begin = 0, end = 0;
};

// A weight of this sweep in panels; `fresh` where they must be made first.
struct PackedWeight {
  std::shared_ptr<Block> panels;
  const void* weight = nullptr;
  int64_t version = -1;
  bool fresh = false;
};

// What one thread did in a sweep.
struct ThreadProfile {
  std::vector<CallProfile> calls;  // [call]
  int64_t packing_ns = 0;          // weights into panels
  int64_t parts_ns = 0;            // its parts of work that was shared, packing among them
  int64_t shares_ns = 0;           // of thread 0: all of that work, from first part to last
};

struct BoundSweep {
  BoundSweep(const Sweep& given);

  const Sweep& sweep;
  const CpuProgram& prepared;
  const CpuWorkspace& workspace;
  std::vector<PackedWeight> weights;  // [use]
  std::vector<PatchRange> patches;    // [segment]
  std::vector<bool> splittable;       // [call] a product whose columns threads may share
  std::vector<IndexTable> tables;     // of all calls, shared by the threads
  std::vector<ThreadCode> threads;
  std::vector<ThreadProfile> profile;  // [thread]; empty where not asked for
};

// Runs all segments. Rethrows what a kernel threw, after all threads came to the end.
void walk(BoundSweep& bound);

}  // namespace cavs
