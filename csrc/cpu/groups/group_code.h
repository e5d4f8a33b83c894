// Makes the machine code of elementwise groups.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/groups/group_program.h"

namespace cavs {

// Whether groups are compiled here: float32 on x86-64 with AVX2 or AVX-512, where the system lets
// a program make memory executable. Elsewhere they are interpreted.
bool can_compile_groups();

// Null where can_compile_groups() is false, rows are short, or too many values live at once.
std::shared_ptr<const GroupCode> compile_group(const Group& group);

// The code for vectors of 64 bytes (or 32) without making it executable, for tests.
std::vector<uint8_t> assemble_group(const Group& group, bool wide);

}  // namespace cavs
