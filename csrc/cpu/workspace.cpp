// Chooses threads and chunks for a batch.
#include "cpu/workspace.h"

#include <algorithm>

#include "cpu/attention/attention.h"
#include "cpu/prepared.h"
#include "cpu/threads.h"

namespace cavs {
namespace {

// Lines that two threads write must not be neighbours: the prefetcher fetches them in pairs.
constexpr int64_t kThreadAlignment = 4096;

}  // namespace

std::unique_ptr<const Workspace> plan_workspace(const Executable& exe, bool keep,
                                                const RowCounts& counts, const Schedule& schedule,
                                                int threads) {
  const CpuProgram& prepared = cpu_program(exe);
  auto plan = std::make_unique<CpuWorkspace>();
  const ThreadChoice choice = choose_threads(exe, prepared, counts, schedule, threads);
  plan->threads = choice.threads;
  plan->saved_ns = choice.saved_ns;
  const Locals& locals = prepared.locals(keep);
  int64_t local_bytes = 0;
  plan->chunks.reserve(locals.chunks.size());
  for (size_t s = 0; s < locals.chunks.size(); ++s) {
    const ChunkPlan& known = locals.chunks[s];
    int64_t max_arity = 0;
    for (const PreparedSegment::Edges& each : prepared.segments[s].edges) {
      max_arity = std::max(max_arity, schedule.edges[static_cast<size_t>(each.list)].max_arity);
    }
    const bool fits = max_arity <= known.edges;
    if (!fits) {
      plan->own_chunks.push_back(std::make_unique<const ChunkPlan>(
          plan_chunk(locals.values[s], prepared.options, max_arity)));
    }
    plan->chunks.push_back(fits ? &known : plan->own_chunks.back().get());
    local_bytes = std::max(local_bytes, plan->chunks.back()->bytes);
  }
  plan->alignment = kThreadAlignment;
  // Nothing is local where a call takes all rows at once: it may have all of a thread's memory.
  const int64_t bytes =
      std::max(kScratchBytes + local_bytes, attention_bytes(exe.program, schedule));
  plan->thread_bytes = align_up(bytes + kAlignment, kThreadAlignment);
  plan->bytes = plan->threads * plan->thread_bytes;
  return plan;
}

}  // namespace cavs
