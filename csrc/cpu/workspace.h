// The CPU's plan for one sweep of a run: its threads, its chunks, and the threads' own memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/chunks.h"
#include "runtime/backend.h"

namespace cavs {

// Each thread has a region in the arena: the scratch of its kernels, then its local values.
struct CpuWorkspace final : Workspace {
  int threads = 1;                                           // at most
  double saved_ns = 0;                                       // by the threads, roughly
  std::vector<const ChunkPlan*> chunks;                      // [segment]
  std::vector<std::unique_ptr<const ChunkPlan>> own_chunks;  // chunks made for this batch
  int64_t thread_bytes = 0;
};

std::unique_ptr<const Workspace> plan_workspace(const Executable& exe, bool keep,
                                                const RowCounts& counts, const Schedule& schedule,
                                                int threads);

}  // namespace cavs
