// Encodes the instructions of x86-64 that elementwise groups are made of.
#include "cpu/groups/assembler.h"

#include <cassert>
#include <cstddef>

namespace cavs {

void Assembler::word(int64_t value) {
  for (int i = 0; i < 4; ++i) byte(value >> (8 * i));
}

void Assembler::set32(int64_t position, int64_t value) {
  for (int i = 0; i < 4; ++i) {
    code_[static_cast<size_t>(position + i)] = static_cast<uint8_t>(value >> (8 * i));
  }
}

// The prefixes hold the upper bits of register numbers, inverted.
void Assembler::prefixes(Encoding code, int reg, int first, const VectorOperand& last, int mask) {
  const bool constant = last.kind == VectorOperand::Kind::kConstant;
  const int number = constant ? 0 : last.number;
  const bool vector = last.kind == VectorOperand::Kind::kRegister;
  const int r = ~reg >> 3 & 1, b = ~number >> 3 & 1, low = ~first & 15;
  if (!wide_) {
    assert(reg < 16 && first < 16 && number < 16 && mask == 0);
    byte(0xC4);
    byte(r << 7 | 1 << 6 | b << 5 | code.map);
    byte(low << 3 | 1 << 2 | code.prefix);
    return;
  }
  const int upper_r = ~reg >> 4 & 1, upper_v = ~first >> 4 & 1;
  const int x = vector ? ~number >> 4 & 1 : 1;
  byte(0x62);
  byte(r << 7 | x << 6 | b << 5 | upper_r << 4 | code.map);
  byte(low << 3 | 1 << 2 | code.prefix);
  byte(2 << 5 | upper_v << 3 | mask);  // 512 bits
}

void Assembler::vector(Encoding code, int reg, int first, const VectorOperand& last, int immediate,
                       int mask) {
  prefixes(code, reg, first, last, mask);
  byte(code.opcode);
  const int field = (reg & 7) << 3, base = last.number & 7;
  switch (last.kind) {
    case VectorOperand::Kind::kRegister:
      byte(3 << 6 | field | base);
      break;
    case VectorOperand::Kind::kColumns:  // a byte of displacement; EVEX counts it in vectors
      byte(1 << 6 | field | 4);
      byte(kRcx << 3 | base);
      byte(last.offset * (wide_ ? 1 : vector_bytes()));
      break;
    case VectorOperand::Kind::kOffset:
      byte(2 << 6 | field | base);
      if (base == kRsp) byte(0x24);
      word(last.offset);
      break;
    case VectorOperand::Kind::kConstant:
      byte(field | 5);
      references_.push_back({here(), here() + 4 + (immediate >= 0 ? 1 : 0), last.number});
      word(0);
      break;
  }
  if (immediate >= 0) byte(immediate);
}

void Assembler::test_lanes(int reg) {
  if (!wide_) return vector(kTest, reg, 0, VectorOperand::vector(reg));
  for (const int value : {0xC5, 0xF8, 0x98, 0xC9}) byte(value);  // kortestw
}

void Assembler::end_of_vectors() {
  for (const int value : {0xC5, 0xF8, 0x77}) byte(value);
}

void Assembler::push(Gpr reg) {
  if (reg >= kR8) byte(0x41);
  byte(0x50 | (reg & 7));
}

void Assembler::pop(Gpr reg) {
  if (reg >= kR8) byte(0x41);
  byte(0x58 | (reg & 7));
}

void Assembler::wide_instruction(int opcode, int reg, int rm) {
  byte(0x48 | reg >> 3 << 2 | rm >> 3);
  byte(opcode);
  byte(3 << 6 | (reg & 7) << 3 | (rm & 7));
}

void Assembler::move(Gpr to, Gpr from) { wide_instruction(0x89, from, to); }
void Assembler::clear(Gpr reg) { wide_instruction(0x31, reg, reg); }
void Assembler::compare(Gpr a, Gpr b) { wide_instruction(0x39, b, a); }
void Assembler::decrement(Gpr reg) { wide_instruction(0xFF, 1, reg); }

void Assembler::load(Gpr to, Gpr base, int32_t offset) {
  assert((base & 7) != kRsp);
  byte(0x48 | to >> 3 << 2 | base >> 3);
  byte(0x8B);
  byte(2 << 6 | (to & 7) << 3 | (base & 7));
  word(offset);
}

void Assembler::add(Gpr reg, int32_t value) {
  wide_instruction(0x81, 0, reg);
  word(value);
}

void Assembler::round_down(Gpr reg, int8_t multiple) {
  wide_instruction(0x83, 4, reg);
  byte(-multiple);
}

void Assembler::move_if_above(Gpr to, Gpr from) {
  byte(0x48 | to >> 3 << 2 | from >> 3);
  byte(0x0F);
  byte(0x47);
  byte(3 << 6 | (to & 7) << 3 | (from & 7));
}

void Assembler::ret() { byte(0xC3); }

void Assembler::align(int64_t multiple) {
  while (here() % multiple != 0) byte(0x90);
}

void Assembler::jump_if_below(Label to) {
  byte(0x0F);
  byte(0x82);
  word(to - here() - 4);
}

void Assembler::jump_unless_zero(Label to) {
  byte(0x0F);
  byte(0x85);
  word(to - here() - 4);
}

Assembler::Label Assembler::jump_if_zero() {
  byte(0x0F);
  byte(0x84);
  word(0);
  return here();
}

Assembler::Label Assembler::call() {
  byte(0xE8);
  word(0);
  return here();
}

void Assembler::land(Label from) { set32(from - 4, here() - from); }

void Assembler::call_function(void* function) {
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(function));
  byte(0x48);
  byte(0xB8);
  word(address);
  word(address >> 32);
  byte(0xFF);
  byte(0xD0);
}

void Assembler::place_constants(const std::vector<uint32_t>& constants) {
  align(64);
  const int64_t start = here();
  for (const uint32_t constant : constants) {
    for (int i = 0; i < vector_bytes(); i += 4) word(constant);
  }
  for (const Reference& reference : references_) {
    set32(reference.position, start + reference.offset - reference.end);
  }
}

}  // namespace cavs
