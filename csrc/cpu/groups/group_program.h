// An elementwise group made ready for this processor, in the form that the kernel "fused" takes.
#pragma once

#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "group/group.h"

namespace cavs {

// Machine code for a group: it computes rows of it, `step` columns at a time. `rows` holds, row
// after row, the addresses of the inputs' and of the outputs' rows; `last` is the byte at which the
// last step of a row begins (this step may overlap with the one before it); `spill` is memory of
// `spill_bytes`.
struct GroupCode {
  void (*function)(const void* const* rows, int64_t last, int64_t num_rows, void* spill);
  int64_t step;  // elements; a row has at least so many
  int64_t spill_bytes;
};

// An operation of the interpreter. Slots number the inputs, then the registers, then the constants;
// -1 where the operation takes fewer.
struct GroupStep {
  int op;
  int to;  // a register
  int a, b, c;
};

struct GroupProgram {
  int64_t width = 0;
  int num_registers = 0, num_constants = 0, num_steps = 0;
  const GroupInput* inputs = nullptr;
  const double* constants = nullptr;
  const GroupStep* steps = nullptr;
  const int* outputs = nullptr;     // registers
  const GroupCode* code = nullptr;  // null where the group is interpreted
};

// The group must be right (see wrong_group()). It is compiled where wanted and possible.
std::shared_ptr<const GroupProgram> prepare_group(const Group& group, bool compile);

// Whether the kernel may write over rows that it reads. It may if it has room to put whole rows
// aside.
bool writes_over_inputs(const Group& group, DType dtype);

}  // namespace cavs
