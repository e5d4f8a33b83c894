// The values that a thread keeps for itself for one chunk of rows at a time, and the size of a
// chunk.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/options.h"
#include "runtime/executable.h"

namespace cavs {

// A value that lives in the private memory of a thread for one chunk of rows.
struct LocalValue {
  int value = -1;
  int edges = -1;           // the list of edges that it has rows for, in a segment over vertices
  int first = 0, last = 0;  // instructions of the segment
  int64_t row_bytes = 0;
};

// How many rows a thread takes at once, and where the local values stand meanwhile.
struct ChunkPlan {
  int64_t rows = 0;
  int64_t edges = 0;  // the most edges of a chunk, of each list; a single vertex may have more
  int64_t bytes = 0;
  std::vector<int64_t> offsets;  // one per local value of the segment
};

// The local values of a program, with or without the values that backward reads.
struct Locals {
  std::vector<int> number;                      // [value] its number in its segment, or -1
  std::vector<std::vector<LocalValue>> values;  // [segment]
  std::vector<ChunkPlan> chunks;                // [segment] for vertices of few children
};

Locals find_locals(const Executable& exe, const Layout& layout, const ExecutionOptions& options);

// A segment's chunk for a batch in which a vertex has at most `max_arity` children.
ChunkPlan plan_chunk(const std::vector<LocalValue>& locals, const ExecutionOptions& options,
                     int64_t max_arity);

}  // namespace cavs
