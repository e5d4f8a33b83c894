// The conditions that a program must meet before it runs, so that it cannot read or write outside
// its values.
#pragma once

#include "program/program.h"

namespace cavs {

// Checks the whole program, and nothing that depends on a device. Throws Error(kValue) that names
// the value or the instruction. Afterwards views resolve, ids are in range, spaces and tables
// agree, kernels get the operands and attributes that they read, and every value that is read was
// written. Completes lists of tables that are shorter than the lists of inputs.
void validate(Program& program);

}  // namespace cavs
