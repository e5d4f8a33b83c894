// The attributes of kernels, read from Python's records of them.
#pragma once

#include <pybind11/pybind11.h>

#include "program/kernels.h"

namespace cavs {

// Of a kernel, by name: every field of its attributes, and no others. Throws Error(kValue).
Attributes read_attributes(KernelId kernel, pybind11::handle fields);

// Fields that follow from rows and operands: to be called when the instruction is whole.
void complete_attributes(const Program& program, Instruction* instruction);

}  // namespace cavs
