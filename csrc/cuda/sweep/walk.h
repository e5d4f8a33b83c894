// Puts the work of a sweep on a stream: segments, levels, instructions.
#pragma once

#include "cuda/sweep/prepared.h"
#include "cuda/sweep/workspace.h"

namespace cavs::cuda {

// The arrays that `lists` and `tables` name are on the device already.
void walk(const Sweep& sweep, const Stream& stream, bool flush_denormals, const DeviceLists& lists,
          const TableSources& tables);

}  // namespace cavs::cuda
