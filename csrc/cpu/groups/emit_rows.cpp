// Writes the machine code of a group: its loops over rows and columns, and its operations.
#include "cpu/groups/emit_rows.h"

#include <cstddef>
#include <iterator>
#include <utility>

#include "cpu/groups/assembler.h"
#include "cpu/groups/registers.h"
#include "cpu/groups/unrolled_code.h"
#include "cpu/kernels/far_sine.h"

namespace cavs {
namespace {

// rsi is the last column, rdx the rows to go; see Registers for the others. The caller's:
constexpr Gpr kSaved[] = {kRbx, kRbp, kR12, kR13, kR14, kR15};
// The called one's, of those in use.
constexpr Gpr kChanged[] = {kRcx, kRdx, kRsi, kRdi, kR8, kR9, kR10, kR11};
constexpr int kFarBytes = sizeof(FarLanes);

// The encodings of the operations on one or two vectors, by the operations' numbers.
constexpr Encoding kNone{0, 0, 0};
constexpr Encoding kEncodings[] = {
    kNone,        kNone,        {0x58, 1, 0}, {0x5C, 1, 0}, {0x59, 1, 0}, {0x5E, 1, 0},
    {0x5D, 1, 0}, {0x5F, 1, 0}, {0x51, 1, 0}, kNone,        kNone,        {0xDB, 1, 1},
    {0xEB, 1, 1}, {0xEF, 1, 1}, {0xFE, 1, 1}, {0xFA, 1, 1}, kNone,        kNone,
    {0x5B, 1, 0}, kNone,        kNone,        kNone};

// The predicates of the comparisons, by the comparisons' numbers. They raise no exception for NaN.
constexpr int kPredicates[] = {0x00, 0x04, 0x11, 0x12, 0x1D, 0x1E};

bool commutes(VectorOp op) {
  return op == VectorOp::kAdd || op == VectorOp::kMul || op == VectorOp::kAnd ||
         op == VectorOp::kOr || op == VectorOp::kXor || op == VectorOp::kAddBits;
}

class RowsEmitter {
 public:
  RowsEmitter(const VectorCode& code, const std::vector<bool>& narrow,
              const std::vector<int>& outputs, int copies, bool wide)
      : num_operands_(static_cast<int>(narrow.size() + outputs.size())),
        copies_(copies),
        assembler_(wide),
        nodes_(unroll(code, narrow, outputs, copies)),
        registers_(nodes_, narrow, &assembler_) {}

  RowsCode run() {
    Assembler& a = assembler_;
    for (const Gpr reg : kSaved) a.push(reg);
    a.move(kR11, kRcx);
    registers_.preload_constants();
    const Assembler::Label row = a.here();
    registers_.load_pointers(num_operands_);
    a.clear(kRcx);
    const Assembler::Label column = a.here();
    emit_column();
    a.move(kRax, kRcx);
    a.add(kRcx, copies_ * a.vector_bytes());
    a.compare(kRcx, kRsi);
    a.move_if_above(kRcx, kRsi);
    a.compare(kRax, kRsi);
    a.jump_if_below(column);
    a.add(kRdi, 8 * num_operands_);
    a.decrement(kRdx);
    a.jump_unless_zero(row);
    a.end_of_vectors();
    for (int i = static_cast<int>(std::size(kSaved)); i-- > 0;) a.pop(kSaved[i]);
    a.ret();
    emit_far_lanes(far_sines_, &replace_far_sines);
    emit_far_lanes(far_cosines_, &replace_far_cosines);
    a.place_constants(registers_.constants());
    return {a.code(), registers_.num_spilled() * a.vector_bytes()};
  }

 private:
  const UnrolledNode& node(int v) const { return nodes_[static_cast<size_t>(v)]; }

  void emit_column() {
    const int count = static_cast<int>(nodes_.size());
    for (int v = 0; v < count; ++v) {
      if (!node(v).is_wanted() || node(v).is_source()) continue;
      go_to(v);
      emit_operation();
      registers_.store(v);
    }
    go_to(count);
    for (int v = 0; v < count; ++v) {
      if (!node(v).is_source() || node(v).outputs.empty()) continue;
      registers_.in_register(v);
      registers_.store(v);
      registers_.unpin();
    }
  }

  void go_to(int operation) {
    now_ = operation;
    registers_.go_to(operation);
  }

  // Operations. Arguments that no later operation reads give their registers back, and the result
  // takes one of these.

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
      case VectorOp::kSineWhere:
        emit_far(it, &far_sines_);
        break;
      case VectorOp::kCosineWhere:
        emit_far(it, &far_cosines_);
        break;
      case VectorOp::kShiftLeft:
      case VectorOp::kShiftRight: {
        const int a = registers_.in_register(it.arguments[0]);
        registers_.release_arguments();
        const int to = registers_.take();
        assembler_.vector(kShiftGroup, it.op == VectorOp::kShiftLeft ? 6 : 4, to,
                          VectorOperand::vector(a), it.number);
        registers_.hold(now_, to);
        break;
      }
      case VectorOp::kSqrt:
      case VectorOp::kToFloat:
        emit_on_two(it.op, -1, it.arguments[0]);
        break;
      default:
        emit_on_two(it.op, it.arguments[0], it.arguments[1]);
    }
    registers_.unpin();
  }

  void emit_on_two(VectorOp op, int a, int b) {
    if (commutes(op) && registers_.of(a) < 0 && (registers_.of(b) >= 0 || !registers_.foldable(b)))
      std::swap(a, b);
    const int first = a < 0 ? 0 : registers_.in_register(a);
    const VectorOperand last = registers_.anywhere(b);
    registers_.release_arguments();
    const int to = registers_.take();
    assembler_.vector(kEncodings[static_cast<int>(op)], to, first, last);
    registers_.hold(now_, to);
  }

  // The result takes the register of one of the three operands: of one that is read no more; else
  // of one that is not in a register and is loaded into a new one; else of a copy. The forms differ
  // in this operand: 132: to * last + first; 213: first * to + last; 231: first * last + to.
  void emit_multiply_add(int a, int b, int c, int negated) {
    const auto form = [negated](int opcode) {
      return Encoding{static_cast<uint8_t>(opcode + negated), 2, 1};
    };
    constexpr int k132 = 0x98, k213 = 0xA8, k231 = 0xB8;
    if (registers_.dies(b) && !registers_.dies(a)) std::swap(a, b);
    if (registers_.dies(a)) {
      const int to = registers_.of(a);
      registers_.pin(to);
      const bool b_last = registers_.of(c) >= 0 && registers_.of(b) < 0;
      const int first = registers_.in_register(b_last ? c : b);
      const VectorOperand last = registers_.anywhere(b_last ? b : c);
      finish(form(b_last ? k132 : k213), to, first, last);
    } else if (registers_.dies(c)) {
      const int to = registers_.of(c);
      registers_.pin(to);
      const int first = registers_.in_register(a);
      const VectorOperand last = registers_.anywhere(b);
      finish(form(k231), to, first, last);
    } else if (registers_.of(c) < 0 && registers_.of(a) >= 0) {
      const int first = registers_.in_register(a);
      if (registers_.of(b) >= 0) registers_.pin(registers_.of(b));
      const int to = registers_.take();
      registers_.load(c, to);
      const VectorOperand last = registers_.anywhere(b);
      finish(form(k231), to, first, last);
    } else {
      const int first = registers_.in_register(b);
      if (registers_.of(a) >= 0) registers_.pin(registers_.of(a));
      if (registers_.of(c) >= 0) registers_.pin(registers_.of(c));
      const int to = registers_.take();
      if (registers_.of(a) >= 0) {
        assembler_.vector(kMove, to, 0, VectorOperand::vector(registers_.of(a)));
      } else {
        registers_.load(a, to);
      }
      const VectorOperand last = registers_.anywhere(c);
      finish(form(k213), to, first, last);
    }
  }

  void finish(Encoding code, int to, int first, const VectorOperand& last) {
    assembler_.vector(code, to, first, last);
    registers_.release_arguments();
    registers_.hold(now_, to);
  }

  void emit_select(const VectorNode& it) {
    const int a = registers_.in_register(it.arguments[0]);
    const int otherwise = registers_.in_register(it.arguments[3]);
    const int to = registers_.take();
    const VectorOperand b = registers_.anywhere(it.arguments[1]);
    const int predicate = kPredicates[it.number];
    if (assembler_.wide()) {
      assembler_.vector(kCompare, 1, a, b, predicate);
      assembler_.vector(kBlendByMask, to, otherwise, registers_.anywhere(it.arguments[2]), -1, 1);
    } else {
      assembler_.vector(kCompare, to, a, b, predicate);
      assembler_.vector(kBlendByVector, to, otherwise, registers_.anywhere(it.arguments[2]),
                        to << 4);
    }
    registers_.release_arguments();
    registers_.hold(now_, to);
  }

  // Lanes that are far are rare: a function of C++ computes them, for which all registers are kept.
  // The lanes are handed over on the stack.
  void emit_far(const VectorNode& it, std::vector<Assembler::Label>* calls) {
    Assembler& a = assembler_;
    const int size = registers_.in_register(it.arguments[0]);
    const int x = registers_.in_register(it.arguments[2]);
    const int near = registers_.in_register(it.arguments[3]);
    const int to = registers_.take();
    const VectorOperand bound = registers_.anywhere(it.arguments[1]);
    a.vector(kCompare, a.wide() ? 1 : to, size, bound, kPredicates[it.number]);
    a.test_lanes(to);
    a.vector(kMove, to, 0, VectorOperand::vector(near));
    const Assembler::Label skip = a.jump_if_zero();
    a.add(kRsp, -kFarBytes);
    a.vector(kStore, x, 0, VectorOperand::at(kRsp, offsetof(FarLanes, x)));
    a.vector(kStore, near, 0, VectorOperand::at(kRsp, offsetof(FarLanes, near)));
    calls->push_back(a.call());
    a.vector(kLoad, to, 0, VectorOperand::at(kRsp, offsetof(FarLanes, near)));
    a.add(kRsp, kFarBytes);
    a.land(skip);
    registers_.release_arguments();
    registers_.hold(now_, to);
  }

  // What these call: keeps the registers that functions of C++ may change, and calls one.
  void emit_far_lanes(const std::vector<Assembler::Label>& calls,
                      void (*function)(FarLanes*, long)) {
    if (calls.empty()) return;
    Assembler& a = assembler_;
    for (const Assembler::Label from : calls) a.land(from);
    for (const Gpr reg : kChanged) a.push(reg);
    a.push(kRbp);
    a.move(kRbp, kRsp);
    a.add(kRsp, -a.num_vectors() * a.vector_bytes());
    a.round_down(kRsp, 64);
    for (int i = 0; i < a.num_vectors(); ++i) a.vector(kStore, i, 0, kept(i));
    a.move(kRdi, kRbp);
    a.add(kRdi, 8 * static_cast<int>(std::size(kChanged) + 2));  // rbp, and the place to go on
    a.clear(kRsi);
    a.add(kRsi, a.vector_bytes() / static_cast<int>(sizeof(float)));
    a.call_function(reinterpret_cast<void*>(function));
    for (int i = 0; i < a.num_vectors(); ++i) a.vector(kLoad, i, 0, kept(i));
    a.move(kRsp, kRbp);
    a.pop(kRbp);
    for (int i = static_cast<int>(std::size(kChanged)); i-- > 0;) a.pop(kChanged[i]);
    a.ret();
  }

  VectorOperand kept(int reg) const {
    return VectorOperand::at(kRsp, reg * assembler_.vector_bytes());
  }

  const int num_operands_;
  const int copies_;  // vectors that are computed side by side
  Assembler assembler_;
  const std::vector<UnrolledNode> nodes_;
  Registers registers_;
  int now_ = 0;                                            // the operation at hand
  std::vector<Assembler::Label> far_sines_, far_cosines_;  // calls
};

}  // namespace

RowsCode emit_rows(const VectorCode& code, const std::vector<bool>& narrow,
                   const std::vector<int>& outputs, int copies, bool wide) {
  return RowsEmitter(code, narrow, outputs, copies, wide).run();
}

}  // namespace cavs
