// Writes the machine code of a group: its loop over rows, and registers for its values.
#include "cpu/groups/emit_rows.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "cpu/groups/assembler.h"
#include "cpu/groups/unrolled_code.h"

namespace cavs {
namespace {

// The registers that hold the addresses of a row's first operands; the addresses of all other
// operands are loaded into rax. rdi is the table of addresses, rsi the last column, rdx the rows to
// go, rcx the column, r11 the spills.
constexpr Gpr kPointers[] = {kR8, kR9, kR10, kRbx, kRbp, kR12, kR13, kR14, kR15};
constexpr int kNumPointers = sizeof(kPointers) / sizeof(kPointers[0]);
constexpr Gpr kSaved[] = {kRbx, kRbp, kR12, kR13, kR14, kR15};  // the caller's

constexpr int kWorkRegisters = 3;  // kept for inputs, and for the operands of an operation

constexpr int kFree = -1, kReserved = -2;  // holders of a register that are no values

// The encodings of the operations on one or two vectors, by the operations' numbers.
constexpr Encoding kNone{0, 0, 0};
constexpr Encoding kEncodings[] = {kNone,        kNone,        {0x58, 1, 0}, {0x5C, 1, 0},
                                   {0x59, 1, 0}, {0x5E, 1, 0}, {0x5D, 1, 0}, {0x5F, 1, 0},
                                   {0x51, 1, 0}, kNone,        kNone,        {0xDB, 1, 1},
                                   {0xEB, 1, 1}, {0xEF, 1, 1}, {0xFE, 1, 1}, {0xFA, 1, 1},
                                   kNone,        kNone,        {0x5B, 1, 0}, kNone};

// The predicates of the comparisons, by the comparisons' numbers. They raise no exception for NaN.
constexpr int kPredicates[] = {0x00, 0x04, 0x11, 0x12, 0x1D, 0x1E};

bool commutes(VectorOp op) {
  return op == VectorOp::kAdd || op == VectorOp::kMul || op == VectorOp::kAnd ||
         op == VectorOp::kOr || op == VectorOp::kXor || op == VectorOp::kAddBits;
}

// Where a value stands while code is written.
struct Place {
  int reg = -1;
  int spill = -1;
  bool stored = false;     // in its first output's row
  bool preloaded = false;  // a constant that keeps its register
};

class RowsEmitter {
 public:
  RowsEmitter(const VectorCode& code, const std::vector<bool>& narrow,
              const std::vector<int>& outputs, int copies, bool wide)
      : narrow_(narrow),
        num_in_(static_cast<int>(narrow.size())),
        num_out_(static_cast<int>(outputs.size())),
        copies_(copies),
        assembler_(wide),
        nodes_(unroll(code, narrow, outputs, copies)),
        places_(nodes_.size()),
        holders_(static_cast<size_t>(assembler_.num_vectors()), kFree),
        pinned_(holders_.size(), false) {}

  RowsCode run() {
    Assembler& a = assembler_;
    for (const Gpr reg : kSaved) a.push(reg);
    a.move(kR11, kRcx);
    preload_constants();
    const Assembler::Label row = a.here();
    for (int i = 0; i < std::min(num_in_ + num_out_, kNumPointers); ++i) {
      a.load(kPointers[i], kRdi, 8 * i);
    }
    a.clear(kRcx);
    const Assembler::Label column = a.here();
    emit_column();
    a.move(kRax, kRcx);
    a.add(kRcx, copies_ * a.vector_bytes());
    a.compare(kRcx, kRsi);
    a.move_if_above(kRcx, kRsi);
    a.compare(kRax, kRsi);
    a.jump_if_below(column);
    a.add(kRdi, 8 * (num_in_ + num_out_));
    a.decrement(kRdx);
    a.jump_unless_zero(row);
    a.end_of_vectors();
    for (int i = static_cast<int>(std::size(kSaved)); i-- > 0;) a.pop(kSaved[i]);
    a.ret();
    a.place_constants(constants_);
    return {a.code(), num_spilled_ * a.vector_bytes()};
  }

 private:
  const UnrolledNode& node(int v) const { return nodes_[static_cast<size_t>(v)]; }
  Place& place(int v) { return places_[static_cast<size_t>(v)]; }
  int argument(int i) const { return node(now_).node.arguments[static_cast<size_t>(i)]; }

  // Constants that are read most keep the registers which the other values leave free.
  void preload_constants() {
    std::vector<int> constants;
    for (int v = 0; v < static_cast<int>(nodes_.size()); ++v) {
      if (node(v).node.op == VectorOp::kConstant && node(v).is_wanted()) constants.push_back(v);
    }
    std::stable_sort(constants.begin(), constants.end(),
                     [&](int a, int b) { return node(a).uses.size() > node(b).uses.size(); });
    const int room = std::max(0, assembler_.num_vectors() - most_live(nodes_) - kWorkRegisters);
    if (static_cast<int>(constants.size()) > room) constants.resize(static_cast<size_t>(room));
    for (const int v : constants) {
      const int reg = take_register();
      load(v, reg);
      place(v).reg = reg;
      place(v).preloaded = true;
    }
    unpin();
  }

  void emit_column() {
    const int count = static_cast<int>(nodes_.size());
    for (now_ = 0; now_ < count; ++now_) {
      if (!node(now_).is_wanted() || node(now_).is_source()) continue;
      emit_operation();
      store(now_);
    }
    for (int v = 0; v < count; ++v) {
      if (!node(v).is_source() || node(v).outputs.empty()) continue;
      in_register(v);
      store(v);
      unpin();
    }
  }

  void store(int v) {
    for (const auto& [output, copy] : node(v).outputs) {
      assembler_.vector(kStore, place(v).reg, 0,
                        VectorOperand::columns(pointer(num_in_ + output), copy));
    }
    place(v).stored = !node(v).outputs.empty();
    if (next_use(v) == INT_MAX) release(v);
  }

  // Registers

  int next_use(int v) {
    const auto& uses = node(v).uses;
    const auto next = std::upper_bound(uses.begin(), uses.end(), now_);
    return next == uses.end() ? INT_MAX : *next;
  }

  void hold(int v, int reg) {
    place(v).reg = reg;
    holders_[static_cast<size_t>(reg)] = v;
  }

  void release(int v) {
    if (place(v).preloaded) return;
    if (place(v).reg >= 0) holders_[static_cast<size_t>(place(v).reg)] = kFree;
    place(v).reg = -1;
  }

  void pin(int reg) { pinned_[static_cast<size_t>(reg)] = true; }
  void unpin() { std::fill(pinned_.begin(), pinned_.end(), false); }

  bool has_free_register() const {
    return std::find(holders_.begin(), holders_.end(), kFree) != holders_.end();
  }

  // Returns a pinned register for a new value. It is a free one, else the register of a value that
  // stands in memory too, else of any value; among several, of the value whose next use comes last.
  int take_register() {
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

  void evict(int v) {
    if (!in_memory(v)) {
      place(v).spill = num_spilled_++;
      assembler_.vector(kStore, place(v).reg, 0, address(v));
    }
    release(v);
  }

  // Memory

  bool in_memory(int v) { return node(v).is_source() || place(v).stored || place(v).spill >= 0; }

  bool foldable(int v) {
    return in_memory(v) && !(node(v).node.op == VectorOp::kInput && is_narrow(v));
  }
  bool is_narrow(int v) const { return narrow_[static_cast<size_t>(node(v).node.number)]; }

  Gpr pointer(int operand) {
    if (operand < kNumPointers) return kPointers[operand];
    assembler_.load(kRax, kRdi, 8 * operand);
    return kRax;
  }

  VectorOperand address(int v) {
    if (node(v).node.op == VectorOp::kInput) {
      const Gpr base = pointer(node(v).node.number);
      return is_narrow(v) ? VectorOperand::at(base, 0) : VectorOperand::columns(base, node(v).copy);
    }
    if (node(v).node.op == VectorOp::kConstant)
      return constant(static_cast<uint32_t>(node(v).node.number));
    if (place(v).stored) {
      const auto& [output, copy] = node(v).outputs[0];
      return VectorOperand::columns(pointer(num_in_ + output), copy);
    }
    return VectorOperand::at(kR11, place(v).spill * assembler_.vector_bytes());
  }

  VectorOperand constant(uint32_t bits) {
    auto found = std::find(constants_.begin(), constants_.end(), bits);
    if (found == constants_.end()) found = constants_.insert(constants_.end(), bits);
    return VectorOperand::constant(static_cast<int>(found - constants_.begin()) *
                                   assembler_.vector_bytes());
  }

  void load(int v, int reg) {
    const bool repeated = node(v).node.op == VectorOp::kInput && is_narrow(v);
    assembler_.vector(repeated ? kBroadcast : kLoad, reg, 0, address(v));
  }

  int in_register(int v) {
    if (place(v).reg < 0) {
      const int reg = take_register();
      load(v, reg);
      hold(v, reg);
    }
    pin(place(v).reg);
    return place(v).reg;
  }

  // The place of an operand that may stand in memory. To be called last, because its address may be
  // in rax.
  VectorOperand anywhere(int v) {
    const bool again = next_use(v) != INT_MAX && has_free_register();
    if (place(v).reg < 0 && foldable(v) && !again) return address(v);
    return VectorOperand::vector(in_register(v));
  }

  // Operations. Arguments that no later operation reads give their registers back, and the result
  // takes one of these.

  bool dies(int v) { return place(v).reg >= 0 && !place(v).preloaded && next_use(v) == INT_MAX; }

  void release_arguments() {
    for (int i = 0; i < node(now_).num_arguments(); ++i) {
      const int v = argument(i);
      if (dies(v)) release(v);
    }
  }

  void emit_operation() {
    const VectorNode& it = node(now_).node;
    switch (it.op) {
      case VectorOp::kMultiplyAdd:
      case VectorOp::kSubtractProduct:
        emit_multiply_add(it.arguments[0], it.arguments[1], it.arguments[2],
                          it.op == VectorOp::kMultiplyAdd ? 0 : 4);
        break;
      case VectorOp::kSelect:
        emit_select(it);
        break;
      case VectorOp::kShiftLeft:
      case VectorOp::kShiftRight: {
        const int a = in_register(it.arguments[0]);
        release_arguments();
        const int to = take_register();
        assembler_.vector(kShiftGroup, it.op == VectorOp::kShiftLeft ? 6 : 4, to,
                          VectorOperand::vector(a), it.number);
        hold(now_, to);
        break;
      }
      case VectorOp::kSqrt:
      case VectorOp::kToFloat:
        emit_on_two(it.op, -1, it.arguments[0]);
        break;
      default:
        emit_on_two(it.op, it.arguments[0], it.arguments[1]);
    }
    unpin();
  }

  void emit_on_two(VectorOp op, int a, int b) {
    if (commutes(op) && place(a).reg < 0 && (place(b).reg >= 0 || !foldable(b))) std::swap(a, b);
    const int first = a < 0 ? 0 : in_register(a);
    const VectorOperand last = anywhere(b);
    release_arguments();
    const int to = take_register();
    assembler_.vector(kEncodings[static_cast<int>(op)], to, first, last);
    hold(now_, to);
  }

  // The result takes the register of one of the three operands: of one that is read no more; else
  // of one that is not in a register and is loaded into a new one; else of a copy. The forms differ
  // in this operand: 132: to * last + first; 213: first * to + last; 231: first * last + to.
  void emit_multiply_add(int a, int b, int c, int negated) {
    const auto form = [negated](int opcode) {
      return Encoding{static_cast<uint8_t>(opcode + negated), 2, 1};
    };
    constexpr int k132 = 0x98, k213 = 0xA8, k231 = 0xB8;
    if (dies(b) && !dies(a)) std::swap(a, b);
    if (dies(a)) {
      const int to = place(a).reg;
      pin(to);
      const bool b_last = place(c).reg >= 0 && place(b).reg < 0;
      const int first = in_register(b_last ? c : b);
      const VectorOperand last = anywhere(b_last ? b : c);
      finish(form(b_last ? k132 : k213), to, first, last);
    } else if (dies(c)) {
      const int to = place(c).reg;
      pin(to);
      const int first = in_register(a);
      const VectorOperand last = anywhere(b);
      finish(form(k231), to, first, last);
    } else if (place(c).reg < 0 && place(a).reg >= 0) {
      const int first = in_register(a);
      if (place(b).reg >= 0) pin(place(b).reg);
      const int to = take_register();
      load(c, to);
      const VectorOperand last = anywhere(b);
      finish(form(k231), to, first, last);
    } else {
      const int first = in_register(b);
      if (place(a).reg >= 0) pin(place(a).reg);
      if (place(c).reg >= 0) pin(place(c).reg);
      const int to = take_register();
      if (place(a).reg >= 0) {
        assembler_.vector(kMove, to, 0, VectorOperand::vector(place(a).reg));
      } else {
        load(a, to);
      }
      const VectorOperand last = anywhere(c);
      finish(form(k213), to, first, last);
    }
  }

  void finish(Encoding code, int to, int first, const VectorOperand& last) {
    assembler_.vector(code, to, first, last);
    release_arguments();
    hold(now_, to);
  }

  void emit_select(const VectorNode& it) {
    const int a = in_register(it.arguments[0]);
    const int otherwise = in_register(it.arguments[3]);
    const int to = take_register();
    const VectorOperand b = anywhere(it.arguments[1]);
    const int predicate = kPredicates[it.number];
    if (assembler_.wide()) {
      assembler_.vector(kCompare, 1, a, b, predicate);
      assembler_.vector(kBlendByMask, to, otherwise, anywhere(it.arguments[2]), -1, 1);
    } else {
      assembler_.vector(kCompare, to, a, b, predicate);
      assembler_.vector(kBlendByVector, to, otherwise, anywhere(it.arguments[2]), to << 4);
    }
    release_arguments();
    hold(now_, to);
  }

  const std::vector<bool>& narrow_;
  const int num_in_, num_out_;
  const int copies_;  // vectors that are computed side by side
  Assembler assembler_;
  const std::vector<UnrolledNode> nodes_;
  std::vector<Place> places_;  // [node]
  std::vector<int> holders_;   // [register] its value
  std::vector<bool> pinned_;   // [register] operand of the operation at hand
  std::vector<uint32_t> constants_;
  int now_ = 0;
  int num_spilled_ = 0;
};

}  // namespace

RowsCode emit_rows(const VectorCode& code, const std::vector<bool>& narrow,
                   const std::vector<int>& outputs, int copies, bool wide) {
  return RowsEmitter(code, narrow, outputs, copies, wide).run();
}

}  // namespace cavs
