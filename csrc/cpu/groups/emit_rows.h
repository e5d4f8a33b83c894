// Machine code from a list of vector operations: which values stand in which registers, and the
// loops over columns and rows.
#pragma once

#include <cstdint>
#include <vector>

#include "group/vector_code.h"

namespace cavs {

struct RowsCode {
  std::vector<uint8_t> bytes;
  int64_t spill_bytes;
};

// The function of a GroupCode. `narrow`: per input, whether its one element stands for the
// whole row; `outputs`: the value of each output; `copies`: the vectors of a step.
RowsCode emit_rows(const VectorCode& code, const std::vector<bool>& narrow,
                   const std::vector<int>& outputs, int copies, bool wide);

}  // namespace cavs
