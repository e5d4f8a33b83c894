// Checks of the kernels that pool the images of a row; see Kernel::check.
#pragma once

namespace cavs {

class InstructionCheck;

void check_pool(const InstructionCheck& c);
void check_unpool(const InstructionCheck& c);
void check_max_pool_grad(const InstructionCheck& c);
void check_max_pool_tangent(const InstructionCheck& c);

}  // namespace cavs
