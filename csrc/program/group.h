// The attributes of "fused": a register program over the elements of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cavs {

// What was expected of them, or null where nothing is wrong. They are [width, registers,
// operations, (opcode, result register, three slots) of each operation, number of outputs, their
// registers]; slots number the inputs, then the registers, then the constants, and are -1 where the
// operation has fewer operands.
const char* wrong_group(const std::vector<int64_t>& ints, size_t inputs, size_t constants,
                        size_t outputs);

}  // namespace cavs
