// Checks of the kernels that go along lines of a row, or move its elements; see Kernel::check.
#pragma once

namespace cavs {

class InstructionCheck;

void check_along(const InstructionCheck& c);
void check_reduction(const InstructionCheck& c);
void check_one_hot_max(const InstructionCheck& c);
void check_row_sum(const InstructionCheck& c);
void check_scan(const InstructionCheck& c);
void check_order(const InstructionCheck& c);
void check_pick(const InstructionCheck& c);
void check_put(const InstructionCheck& c);
void check_permute(const InstructionCheck& c);
void check_logsumexp_grad(const InstructionCheck& c);

}  // namespace cavs
