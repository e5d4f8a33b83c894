// Attention over children: what must hold of its kernels, and their cost.
//
// "attention" and "attention_grad" run over all graphs at once: threads share graphs and heads.
// "level_attention" and its gradients run over rows, such as those of a level: a vertex reads its
// children's rows, and a child, in backward, those of its parents.
#pragma once

#include <vector>

#include "program/attention_tables.h"
#include "program/instruction_check.h"
#include "program/kernels.h"

namespace cavs {

// Whether the instruction is one of these kernels.
inline bool is_attention(const Instruction& instruction) {
  return std::holds_alternative<AttentionAttributes>(instruction.attributes);
}
inline const AttentionAttributes& sizes_of_attention(const Instruction& instruction) {
  return std::get<AttentionAttributes>(instruction.attributes);
}

// The number of the operand of keys; that of values is the next one.
inline size_t key_of(const Instruction& instruction) {
  return instruction.kernel->inputs.least - 2;
}
// The list of edges from queries to children.
int edges_of_attention(const Program& program, const Instruction& instruction);

// Those of AttentionTable.
std::vector<TableSpec> own_tables(const Instruction& instruction);

// Throws Error(kValue) where position scores have fewer columns than a vertex has children at most.
void check_places(const Instruction& instruction, int64_t most);

// Of an edge, which is what these kernels count as a row.
double flops_of_attention(const Program& program, const Instruction& instruction);

void check_attention(const InstructionCheck& c);
void check_attention_grad(const InstructionCheck& c);
void check_level_attention(const InstructionCheck& c);
void check_level_attention_grad(const InstructionCheck& c);      // of queries and of biases
void check_level_attention_children(const InstructionCheck& c);  // of keys and values

}  // namespace cavs
