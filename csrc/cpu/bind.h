// One sweep of a run, forward or backward, bound to its batch and its memory; its calls lack only
// their rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
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
  int edges = -1;  // the list of edges that it has rows for; -1: vertices
  int64_t row_bytes = 0;
  std::byte* base = nullptr;
};

// The operands and calls of one thread. The operands of a call are consecutive, inputs then
// outputs.
struct ThreadCode {
  std::vector<Operand> operands;
  std::vector<KernelCall> calls;
  std::vector<Patch> patches;
};

struct PatchRange {
  int begin = 0, end = 0;
};

// A weight of this sweep in panels. `fresh`: the panels must be made first.
struct PackedWeight {
  std::shared_ptr<Block> panels;
  const void* weight = nullptr;
  int64_t version = -1;
  bool fresh = false;
};

// The work of one thread in a sweep.
struct ThreadProfile : ProfileEvents {
  std::vector<CallProfile> calls;  // [call]
  int64_t batch = -1;              // at hand; -1 where its segment does not go batch by batch
  int64_t packing_ns = 0;          // weights into panels
  int64_t parts_ns = 0;            // its parts of shared work, packing included
  int64_t shares_ns = 0;           // of thread 0: all shared work, from the first part to the last
};

struct BoundSweep {
  BoundSweep(const Sweep& given);

  const Sweep& sweep;
  const CpuProgram& prepared;
  const CpuWorkspace& workspace;
  std::vector<PackedWeight> weights;             // [use]
  std::vector<PatchRange> patches;               // [segment]
  std::vector<bool> splittable;                  // [call] a product whose columns threads may share
  std::vector<IndexTable> tables;                // of all calls, shared by the threads
  std::deque<std::array<int32_t, 3>> row_facts;  // that tables point to, see GraphTable
  std::vector<ThreadCode> threads;
  std::vector<ThreadProfile> profile;  // [thread]; empty where not asked for
};

// Runs all segments. Rethrows the exception of a kernel after all threads have ended.
void walk(BoundSweep& bound);

}  // namespace cavs
