// Plans the memory of a sweep beside its values.
#include "cuda/sweep/workspace.h"

#include <algorithm>

#include "cuda/sweep/prepared.h"
#include "cuda/sweep/streams.h"
#include "runtime/executable.h"

namespace cavs::cuda {
namespace {

std::set<ListId> not_staged(const Executable& exe, const Staged& staged) {
  std::set<ListId> missing;
  const auto& known = static_cast<const StagedLists&>(staged).offsets();
  for (const ListId& id : lists_read(exe.program)) {
    if (known.count(id) == 0) missing.insert(id);
  }
  return missing;
}

// Of a batch of the type: the most rows, or edges of a list.
int64_t widest(const Schedule& schedule, int type, const EdgeRows* edges) {
  int64_t most = 0;
  for (const Batch& batch : schedule.batches) {
    if (batch.type != type) continue;
    most = std::max(most, edges == nullptr ? batch.end - batch.begin
                                           : edges->ptr[batch.end] - edges->ptr[batch.begin]);
  }
  return most;
}

}  // namespace

int64_t most_rows(const Program& program, const Segment& segment, const Instruction& instruction,
                  const RowCounts& counts, const Schedule& schedule) {
  if (by_levels(segment.kind)) {
    const bool edges = instruction.space.kind == SpaceKind::kEdge;
    const int list = edges ? edge_list_of(program, instruction.space.members) : 0;
    return widest(schedule, type_of(program, segment.space),
                  edges ? &schedule.edges[static_cast<size_t>(list)] : nullptr);
  }
  return counts.used(instruction.space);
}

CudaWorkspace::CudaWorkspace(const Executable& exe, const RowCounts& counts,
                             const Schedule& schedule, const Staged& staged)
    : late(not_staged(exe, staged), exe, counts, schedule) {
  int64_t scratch = 0;
  const CudaProgram& program = cuda_program(exe);
  for (size_t s = 0; s < exe.program.segments.size(); ++s) {
    const Segment& segment = exe.program.segments[s];
    for (size_t i = program.first_call(s); i < program.last_call(s); ++i) {
      const PreparedCall& call = program.calls[i];
      if (call.kernel == nullptr || call.kernel->scratch_bytes == nullptr) continue;
      const int64_t rows = most_rows(exe.program, segment, *call.instruction, counts, schedule);
      const size_t bytes =
          call.kernel->scratch_bytes(exe.program, *call.instruction, static_cast<int>(rows));
      scratch = std::max(scratch, static_cast<int64_t>(bytes));
    }
  }
  alignment = 256;
  nan_offset = align_up(late.bytes, 256);
  scratch_offset = nan_offset + 256;
  scratch_bytes = align_up(scratch, 256);
  bytes = scratch_offset + kStreams * scratch_bytes;
}

}  // namespace cavs::cuda
