// The calls of a program, bound to memory: they lack only their rows.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "cuda/code/group_source.h"
#include "cuda/code/kernel_cache.h"
#include "cuda/launches/launch.h"
#include "program/attention_check.h"
#include "runtime/states.h"

namespace cavs::cuda {

struct PreparedCall {
  const Instruction* instruction = nullptr;
  const DeviceKernel* kernel = nullptr;  // null for an elementwise group
  const std::vector<StateWrite>* state_writes = nullptr;
  bool edges = false;  // goes over edges
};

struct CompiledGroup {
  GroupKernel printed;
  Kernel kernel;
};

struct BoundCall {
  const PreparedCall* prepared = nullptr;
  const CompiledGroup* group = nullptr;  // of an elementwise group
  DeviceCall call;
};

// Tables that a kernel has beside those of its operands, behind them.
inline std::vector<TableSpec> further_tables(const Instruction& instruction) {
  return is_attention(instruction) ? own_tables(instruction) : std::vector<TableSpec>();
}

// Calls with the operands, tables and random numbers that they point to.
struct BoundCalls {
  // Binds calls that know their program and instruction. `operand_of` and `table_of` give the
  // operand of a value, and the table of a TableSpec for rows of a space.
  template <class OperandOf, class TableOf>
  BoundCalls(std::vector<BoundCall> unbound, const Random& numbers, const OperandOf& operand_of,
             const TableOf& table_of)
      : random(numbers), calls(std::move(unbound)) {
    size_t operand_count = 0, table_count = 0;
    for (const BoundCall& it : calls) {
      const Instruction& instruction = *it.call.instruction;
      operand_count += instruction.inputs.size() + instruction.outputs.size();
      table_count += instruction.tables.size() + further_tables(instruction).size();
    }
    operands.reserve(operand_count);  // calls point into them
    tables.reserve(table_count);
    for (BoundCall& it : calls) {
      const Instruction& instruction = *it.call.instruction;
      it.call.in = operands.data() + operands.size();
      it.call.out = it.call.in + instruction.inputs.size();
      it.call.tables = tables.data() + tables.size();
      it.call.random = &random;
      for (const auto* ids : {&instruction.inputs, &instruction.outputs}) {
        for (const int id : *ids) operands.push_back(operand_of(id));
      }
      for (const TableSpec& table : instruction.tables) {
        tables.push_back(table_of(table, instruction.space));
      }
      for (const TableSpec& table : further_tables(instruction)) {
        tables.push_back(table_of(table, instruction.space));
      }
    }
  }
  BoundCalls(const BoundCalls&) = delete;
  BoundCalls& operator=(const BoundCalls&) = delete;

  const Random random;
  std::vector<Operand> operands;
  std::vector<Table> tables;
  std::vector<BoundCall> calls;
};

}  // namespace cavs::cuda
