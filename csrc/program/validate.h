// What must hold before a program runs: with it, no program can read or write outside its values.
#pragma once

#include "program/program.h"

namespace cavs {

// Checks the whole program, and nothing that depends on a device. Throws Error(kValue) that names
// the value or the instruction. Views resolve, ids are in range, spaces and tables agree, kernels
// get the operands and attributes that they read, and what is read was written. Completes lists of
// tables that are shorter than those of inputs.
void validate(Program& program);

}  // namespace cavs
