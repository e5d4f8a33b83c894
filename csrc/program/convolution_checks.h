// Checks of the convolution and its derivatives, see Kernel::check, and their FLOPs.
#pragma once

#include "program/program.h"

namespace cavs {

class InstructionCheck;

void check_conv(const InstructionCheck& c);
void check_conv_input(const InstructionCheck& c);
void check_conv_weight(const InstructionCheck& c);

double flops_of_convolution(const Program& program, const Instruction& instruction);

}  // namespace cavs
