// The instructions of a levels segment as parts of one kernel: each a device function for a team of
// blocks, with what it is given.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cuda/code/row_functions.h"
#include "cuda/sweep/bound_calls.h"

namespace cavs::cuda {

// A product with a weight (StripedProduct).
extern const DeviceFunction kStripedProduct;

struct LevelsStep {
  size_t call = 0;                           // number of the instruction
  const DeviceFunction* function = nullptr;  // null for a group
  const GroupKernel* group = nullptr;
  int columns = 0;  // of a thread of the group
  bool edges = false;
  bool goes_on = false;  // of a sum
  int stripes = 0;       // of a product with a weight
  unsigned blocks = 1;   // that have work
  std::vector<std::byte> arguments;
};

// The steps of instructions over the rows of their calls. `blank`: without addresses, to know the
// kernel alone. Where an instruction cannot be part of such a kernel, none, and `why_not` says why.
std::vector<LevelsStep> steps_of(OpenGpu& open, const std::vector<BoundCall>& calls, bool blank,
                                 std::string* why_not);

}  // namespace cavs::cuda
