// Attention over children: what must hold of its kernels, and their cost.
//
// They run over all rows at once, as sums do, but write rows: threads share graphs and heads.
#pragma once

#include "program/attention_sizes.h"
#include "program/instruction_check.h"
#include "program/kernels.h"

namespace cavs {

// Whether the instruction is one of these kernels.
bool is_attention(const Instruction& instruction);
AttentionSizes sizes_of_attention(const Instruction& instruction);

// The number of the operand of keys; that of values is the next one.
inline size_t key_of(const Instruction& instruction) {
  return instruction.kernel->inputs.least - 2;
}
// The list of edges from queries to children.
int edges_of_attention(const Program& program, const Instruction& instruction);

// Throws Error(kValue) where position scores have fewer columns than a vertex has children at most.
void check_places(const Instruction& instruction, int64_t most);

// Of an edge, which is what these kernels count as a row.
double flops_of_attention(const Program& program, const Instruction& instruction);

void check_attention(const InstructionCheck& c);
void check_attention_grad(const InstructionCheck& c);

}  // namespace cavs
