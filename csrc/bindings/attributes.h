// The attributes of kernels, read from Python's records of them.
#pragma once

#include <pybind11/pybind11.h>

#include "program/kernels.h"

namespace cavs {

// Reads the attributes of a kernel by name. `fields` must hold every field of them, and no others.
// Throws Error(kValue).
Attributes read_attributes(KernelId kernel, pybind11::handle fields);

// Fills the fields that follow from rows and operands. To be called when the instruction is whole.
void complete_attributes(const Program& program, Instruction* instruction);

}  // namespace cavs
