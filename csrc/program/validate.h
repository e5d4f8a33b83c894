// What must hold before a program runs: with it, no program can read or write outside its values.
#pragma once

#include "program/program.h"

namespace cavs {

// Looks up the kernels and checks the whole program. Throws Error(kValue) that names the value or
// the instruction. Views resolve, ids are in range, spaces and tables agree, kernels get the
// operands and attributes that they read, and what is read was written.
void resolve_and_validate(Program& program);

// The part about one kernel's operands and attributes (see signature.cpp).
void check_signature(const Program& program, const Instruction& instruction);

}  // namespace cavs
