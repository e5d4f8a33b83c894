// Keeps values in registers as long as they are read, and spills those that are read last.
#include "cpu/groups/registers.h"

#include <algorithm>
#include <climits>
#include <utility>

namespace cavs {
namespace {

constexpr Gpr kPointers[] = {kR8, kR9, kR10, kRbx, kRbp, kR12, kR13, kR14, kR15};
constexpr int kNumPointers = sizeof(kPointers) / sizeof(kPointers[0]);

constexpr int kWorkRegisters = 3;  // kept for inputs, and for the operands of an operation

constexpr int kFree = -1, kReserved = -2;  // holders of a register that are no values

}  // namespace

Registers::Registers(const std::vector<UnrolledNode>& nodes, const std::vector<bool>& narrow,
                     Assembler* assembler)
    : nodes_(nodes),
      narrow_(narrow),
      assembler_(*assembler),
      places_(nodes.size()),
      holders_(static_cast<size_t>(assembler->num_vectors()), kFree),
      pinned_(holders_.size(), false) {}

void Registers::load_pointers(int count) {
  for (int i = 0; i < std::min(count, kNumPointers); ++i) {
    assembler_.load(kPointers[i], kRdi, 8 * i);
  }
}

void Registers::preload_constants() {
  std::vector<int> constants;
  for (int v = 0; v < static_cast<int>(nodes_.size()); ++v) {
    if (node(v).node.op == VectorOp::kConstant && node(v).is_wanted()) constants.push_back(v);
  }
  std::stable_sort(constants.begin(), constants.end(),
                   [&](int a, int b) { return node(a).uses.size() > node(b).uses.size(); });
  const int room = std::max(0, assembler_.num_vectors() - most_live(nodes_) - kWorkRegisters);
  if (static_cast<int>(constants.size()) > room) constants.resize(static_cast<size_t>(room));
  for (const int v : constants) {
    const int reg = take();
    load(v, reg);
    place(v).reg = reg;
    place(v).preloaded = true;
  }
  unpin();
}

void Registers::store(int v) {
  for (const auto& [output, copy] : node(v).outputs) {
    assembler_.vector(kStore, place(v).reg, 0,
                      VectorOperand::columns(pointer(num_inputs() + output), copy));
  }
  place(v).stored = !node(v).outputs.empty();
  if (next_use(v) == INT_MAX) release(v);
}

bool Registers::dies(int v) const {
  return place(v).reg >= 0 && !place(v).preloaded && next_use(v) == INT_MAX;
}

void Registers::release_arguments() {
  for (int i = 0; i < node(now_).num_arguments(); ++i) {
    const int v = node(now_).node.arguments[static_cast<size_t>(i)];
    if (dies(v)) release(v);
  }
}

int Registers::next_use(int v) const {
  const auto& uses = node(v).uses;
  const auto next = std::upper_bound(uses.begin(), uses.end(), now_);
  return next == uses.end() ? INT_MAX : *next;
}

void Registers::hold(int v, int reg) {
  place(v).reg = reg;
  holders_[static_cast<size_t>(reg)] = v;
}

void Registers::release(int v) {
  if (place(v).preloaded) return;
  if (place(v).reg >= 0) holders_[static_cast<size_t>(place(v).reg)] = kFree;
  place(v).reg = -1;
}

void Registers::unpin() { std::fill(pinned_.begin(), pinned_.end(), false); }

bool Registers::has_free() const {
  return std::find(holders_.begin(), holders_.end(), kFree) != holders_.end();
}

// It is a free one, else the register of a value that stands in memory too, else of any value;
// among several, of the value whose next use comes last.
int Registers::take() {
  const auto free = std::find(holders_.begin(), holders_.end(), kFree);
  int reg = static_cast<int>(free - holders_.begin());
  if (free == holders_.end()) {
    std::pair<bool, int> best{false, -1};
    for (size_t r = 0; r < holders_.size(); ++r) {
      const int v = holders_[r];
      if (pinned_[r] || v == kReserved) continue;
      const std::pair<bool, int> merit{in_memory(v), next_use(v)};
      if (merit > best) {
        best = merit;
        reg = static_cast<int>(r);
      }
    }
    evict(holders_[static_cast<size_t>(reg)]);
  }
  holders_[static_cast<size_t>(reg)] = kReserved;
  pin(reg);
  return reg;
}

void Registers::evict(int v) {
  if (!in_memory(v)) {
    place(v).spill = num_spilled_++;
    assembler_.vector(kStore, place(v).reg, 0, address(v));
  }
  release(v);
}

bool Registers::in_memory(int v) const {
  return node(v).is_source() || place(v).stored || place(v).spill >= 0;
}

bool Registers::foldable(int v) const {
  return in_memory(v) && !(node(v).node.op == VectorOp::kInput && is_narrow(v));
}

bool Registers::is_narrow(int v) const { return narrow_[static_cast<size_t>(node(v).node.number)]; }

Gpr Registers::pointer(int operand) {
  if (operand < kNumPointers) return kPointers[operand];
  assembler_.load(kRax, kRdi, 8 * operand);
  return kRax;
}

VectorOperand Registers::address(int v) {
  if (node(v).node.op == VectorOp::kInput) {
    const Gpr base = pointer(node(v).node.number);
    return is_narrow(v) ? VectorOperand::at(base, 0) : VectorOperand::columns(base, node(v).copy);
  }
  if (node(v).node.op == VectorOp::kConstant)
    return constant(static_cast<uint32_t>(node(v).node.number));
  if (place(v).stored) {
    const auto& [output, copy] = node(v).outputs[0];
    return VectorOperand::columns(pointer(num_inputs() + output), copy);
  }
  return VectorOperand::at(kR11, place(v).spill * assembler_.vector_bytes());
}

VectorOperand Registers::constant(uint32_t bits) {
  auto found = std::find(constants_.begin(), constants_.end(), bits);
  if (found == constants_.end()) found = constants_.insert(constants_.end(), bits);
  return VectorOperand::constant(static_cast<int>(found - constants_.begin()) *
                                 assembler_.vector_bytes());
}

void Registers::load(int v, int reg) {
  const bool repeated = node(v).node.op == VectorOp::kInput && is_narrow(v);
  assembler_.vector(repeated ? kBroadcast : kLoad, reg, 0, address(v));
}

int Registers::in_register(int v) {
  if (place(v).reg < 0) {
    const int reg = take();
    load(v, reg);
    hold(v, reg);
  }
  pin(place(v).reg);
  return place(v).reg;
}

VectorOperand Registers::anywhere(int v) {
  const bool again = next_use(v) != INT_MAX && has_free();
  if (place(v).reg < 0 && foldable(v) && !again) return address(v);
  return VectorOperand::vector(in_register(v));
}

}  // namespace cavs
