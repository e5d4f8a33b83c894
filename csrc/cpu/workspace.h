// How the CPU goes through one sweep of a run: by how many threads, in which chunks, with what
// memory of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/chunks.h"
#include "runtime/backend.h"

namespace cavs {

// In the arena a region for each thread: kScratchBytes, then its local values.
struct CpuWorkspace final : Workspace {
  int threads = 1;                                           // at most
  double saved_ns = 0;                                       // by them, roughly
  std::vector<const ChunkPlan*> chunks;                      // [segment]
  std::vector<std::unique_ptr<const ChunkPlan>> own_chunks;  // those made for this batch
  int64_t thread_bytes = 0;
};

std::unique_ptr<const Workspace> plan_workspace(const Executable& exe, bool keep,
                                                const RowCounts& counts, const Schedule& schedule,
                                                int threads);

}  // namespace cavs
