// Decides which values of a group stand in vector registers, and where the others are in memory,
// while the code of the group is written.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/groups/assembler.h"
#include "cpu/groups/unrolled_code.h"

namespace cavs {

// The general registers: rdi is the table of the addresses of a row's operands, of which the first
// stand in registers too; the address of any other is loaded into rax. rcx is the column, r11 the
// spills.
class Registers {
 public:
  // `narrow`: per input, whether its one element stands for the whole row. Writes to `assembler`.
  Registers(const std::vector<UnrolledNode>& nodes, const std::vector<bool>& narrow,
            Assembler* assembler);

  // Loads the addresses of the first operands of a row, which has `count`.
  void load_pointers(int count);
  // Constants that are read most keep the registers which the other values leave free.
  void preload_constants();

  // The operation at hand, by whose number the next uses of values count.
  void go_to(int operation) { now_ = operation; }

  // The register of a value; negative where it is in memory alone.
  int of(int v) const { return places_[static_cast<size_t>(v)].reg; }
  // Whether no later operation reads the value, so that its register is free for the result.
  bool dies(int v) const;
  // Whether an instruction can read the value where it is in memory.
  bool foldable(int v) const;

  // A register for a new value.
  int take();
  void hold(int v, int reg);
  void load(int v, int reg);
  // The value in a register, loaded if need be.
  int in_register(int v);
  // The place of an operand that may stand in memory. To be called last, because its address may be
  // in rax.
  VectorOperand anywhere(int v);

  // Operands of the operation at hand keep their registers until unpin(). The calls above that
  // return a register pin it.
  void pin(int reg) { pinned_[static_cast<size_t>(reg)] = true; }
  void unpin();
  // Arguments that no later operation reads give their registers back.
  void release_arguments();
  // Writes a value to its outputs.
  void store(int v);

  const std::vector<uint32_t>& constants() const { return constants_; }
  int num_spilled() const { return num_spilled_; }

 private:
  // Where a value stands while code is written.
  struct Place {
    int reg = -1;
    int spill = -1;
    bool stored = false;     // in its first output's row
    bool preloaded = false;  // a constant that keeps its register
  };

  const UnrolledNode& node(int v) const { return nodes_[static_cast<size_t>(v)]; }
  Place& place(int v) { return places_[static_cast<size_t>(v)]; }
  const Place& place(int v) const { return places_[static_cast<size_t>(v)]; }

  int next_use(int v) const;
  void release(int v);
  void evict(int v);
  bool has_free() const;

  int num_inputs() const { return static_cast<int>(narrow_.size()); }
  bool in_memory(int v) const;
  bool is_narrow(int v) const;  // of an input
  Gpr pointer(int operand);
  VectorOperand address(int v);
  VectorOperand constant(uint32_t bits);

  const std::vector<UnrolledNode>& nodes_;
  const std::vector<bool>& narrow_;
  Assembler& assembler_;
  std::vector<Place> places_;  // [node]
  std::vector<int> holders_;   // [register] its value
  std::vector<bool> pinned_;   // [register] operand of the operation at hand
  std::vector<uint32_t> constants_;
  int now_ = 0;
  int num_spilled_ = 0;
};

}  // namespace cavs
