// Writes x86-64 machine code: the instructions that compiled groups consist of, on vectors of 32
// bytes (AVX2, VEX prefixes) or 64 (AVX-512, EVEX prefixes).
#pragma once

#include <cstdint>
#include <vector>

namespace cavs {

// General registers by their numbers in instructions.
enum Gpr : int {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
};

// A vector instruction: its opcode, the map of the opcode (1: 0F, 2: 0F38, 3: 0F3A), and the prefix
// (0: none, 1: 66).
struct Encoding {
  uint8_t opcode, map, prefix;
};

constexpr Encoding kLoad{0x10, 1, 0}, kStore{0x11, 1, 0}, kMove{0x28, 1, 0}, kBroadcast{0x18, 2, 1};
constexpr Encoding kCompare{0xC2, 1, 0}, kBlendByVector{0x4A, 3, 1}, kBlendByMask{0x65, 2, 1};
constexpr Encoding kShiftGroup{0x72, 1, 1}, kTest{0x17, 2, 1};

// The operand of an instruction that may stand in memory.
struct VectorOperand {
  enum class Kind : uint8_t { kRegister, kColumns, kOffset, kConstant };
  Kind kind;
  int number;      // vector register; base register of the address; offset in the constants
  int32_t offset;  // kOffset: bytes from the base; kColumns: vectors from the base plus rcx
  static VectorOperand vector(int reg) { return {Kind::kRegister, reg, 0}; }
  static VectorOperand columns(Gpr base, int which) { return {Kind::kColumns, base, which}; }
  static VectorOperand at(Gpr base, int32_t offset) { return {Kind::kOffset, base, offset}; }
  static VectorOperand constant(int offset) { return {Kind::kConstant, offset, 0}; }
};

class Assembler {
 public:
  using Label = int64_t;  // a position in the code

  explicit Assembler(bool wide) : wide_(wide) {}

  int vector_bytes() const { return wide_ ? 64 : 32; }
  int num_vectors() const { return wide_ ? 32 : 16; }
  bool wide() const { return wide_; }

  // reg and first are vector registers (for some instructions reg is a mask register); `immediate`
  // follows where it is not negative; `mask` selects a mask register as a condition.
  void vector(Encoding code, int reg, int first, const VectorOperand& last, int immediate = -1,
              int mask = 0);
  // Sets the zero flag if no lane of a comparison holds: of `reg`, or of mask register 1.
  void test_lanes(int reg);
  void end_of_vectors();  // vzeroupper

  void push(Gpr reg);
  void pop(Gpr reg);
  void move(Gpr to, Gpr from);
  void load(Gpr to, Gpr base, int32_t offset);
  void clear(Gpr reg);
  void add(Gpr reg, int32_t value);
  void compare(Gpr a, Gpr b);
  void round_down(Gpr reg, int8_t multiple);  // a power of two
  void move_if_above(Gpr to, Gpr from);       // unsigned, after compare
  void decrement(Gpr reg);
  void ret();

  Label here() const { return static_cast<Label>(code_.size()); }
  void align(int64_t multiple);
  void jump_if_below(Label to);     // unsigned, after compare
  void jump_unless_zero(Label to);  // after decrement
  // To a place that comes later, which land() names.
  Label jump_if_zero();
  Label call();
  void land(Label from);
  void call_function(void* function);  // by way of rax

  // Appends the constants, each repeated to a whole vector, and settles the references to them.
  void place_constants(const std::vector<uint32_t>& constants);

  const std::vector<uint8_t>& code() const { return code_; }

 private:
  struct Reference {
    int64_t position, end;
    int offset;
  };

  void byte(int64_t value) { code_.push_back(static_cast<uint8_t>(value)); }
  void word(int64_t value);
  void set32(int64_t position, int64_t value);
  void wide_instruction(int opcode, int reg, int rm);  // of 64 bits, on two registers
  void prefixes(Encoding code, int reg, int first, const VectorOperand& last, int mask);

  const bool wide_;
  std::vector<uint8_t> code_;
  std::vector<Reference> references_;
};

}  // namespace cavs
