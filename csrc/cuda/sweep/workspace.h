// The memory of a sweep beside its values.
#pragma once

#include <cstdint>

#include "cuda/sweep/staged_lists.h"
#include "runtime/backend.h"

namespace cavs::cuda {

// [lists that forward did not stage][the place of the first NaN][seed and step of random numbers]
// [gates][scratch of kernels, of each stream]
class CudaWorkspace final : public Workspace {
 public:
  CudaWorkspace(const Executable& exe, const RowCounts& counts, const Schedule& schedule,
                const Staged& staged);

  const StagedLists late;
  int64_t nan_offset = 0, scratch_offset = 0, scratch_bytes = 0;

  // Of the gate at which a kernel waits for itself (see kernels/meet.h), of each stream; on lines
  // of their own behind the place of the first NaN.
  int64_t gate_offset(int stream) const { return nan_offset + 64 * (1 + stream); }
  int64_t random_offset() const { return nan_offset + 16; }
};

// Rows that one launch of the instruction works on at most.
int64_t most_rows(const Program& program, const Segment& segment, const Instruction& instruction,
                  const RowCounts& counts, const Schedule& schedule);

}  // namespace cavs::cuda
