// The encoder of instructions against bytes that other assemblers give, and the memory for code.
#include <cstring>
#include <vector>

#include "check.h"
#include "cpu/groups/assembler.h"
#include "cpu/groups/executable_memory.h"

namespace cavs {
namespace {

using Bytes = std::vector<uint8_t>;

template <class Emit>
Bytes bytes_of(bool wide, Emit emit) {
  Assembler assembler(wide);
  emit(assembler);
  return assembler.code();
}

constexpr Encoding kAdd{0x58, 1, 0}, kDivide{0x5E, 1, 0}, kMultiplyAdd132{0x98, 2, 1},
    kMultiplyAdd231{0xB8, 2, 1};

VectorOperand reg(int number) { return VectorOperand::vector(number); }

void test_vectors_of_32_bytes() {
  const auto code = [](auto... arguments) {
    return bytes_of(false, [&](Assembler& a) { a.vector(arguments...); });
  };
  // vaddps ymm4, ymm4, [rbp + rcx + 0x20]
  CHECK(code(kAdd, 4, 4, VectorOperand::columns(kRbp, 1)) ==
        (Bytes{0xc4, 0xe1, 0x5c, 0x58, 0x64, 0x0d, 0x20}));
  // vfmadd231ps ymm12, ymm13, ymm10
  CHECK(code(kMultiplyAdd231, 12, 13, reg(10)) == (Bytes{0xc4, 0x42, 0x15, 0xb8, 0xe2}));
  // vbroadcastss ymm7, [r12]
  CHECK(code(kBroadcast, 7, 0, VectorOperand::at(kR12, 0)) ==
        (Bytes{0xc4, 0xc2, 0x7d, 0x18, 0xbc, 0x24, 0, 0, 0, 0}));
  // vmovups [r13 + rcx + 0x20], ymm3
  CHECK(code(kStore, 3, 0, VectorOperand::columns(kR13, 1)) ==
        (Bytes{0xc4, 0xc1, 0x7c, 0x11, 0x5c, 0x0d, 0x20}));
  // vcmplt_oqps ymm8, ymm0, ymm9; vblendvps ymm8, ymm0, ymm2, ymm8; vpsrad ymm10, ymm8, 23
  CHECK(code(kCompare, 8, 0, reg(9), 0x11) == (Bytes{0xc4, 0x41, 0x7c, 0xc2, 0xc1, 0x11}));
  CHECK(code(kBlendByVector, 8, 0, reg(2), 8 << 4) == (Bytes{0xc4, 0x63, 0x7d, 0x4a, 0xc2, 0x80}));
  CHECK(code(kShiftGroup, 4, 10, reg(8), 23) == (Bytes{0xc4, 0xc1, 0x2d, 0x72, 0xe0, 0x17}));
}

void test_vectors_of_64_bytes() {
  const auto code = [](auto... arguments) {
    return bytes_of(true, [&](Assembler& a) { a.vector(arguments...); });
  };
  // vaddps zmm20, zmm20, [rbp + rcx + 0x40]
  CHECK(code(kAdd, 20, 20, VectorOperand::columns(kRbp, 1)) ==
        (Bytes{0x62, 0xe1, 0x5c, 0x40, 0x58, 0x64, 0x0d, 0x01}));
  // vdivps zmm22, zmm0, zmm22
  CHECK(code(kDivide, 22, 0, reg(22)) == (Bytes{0x62, 0xa1, 0x7c, 0x48, 0x5e, 0xf6}));
  // vfmadd231ps zmm29, zmm24, zmm18; vfmadd132ps zmm22, zmm20, [rbx + rcx + 0x40]
  CHECK(code(kMultiplyAdd231, 29, 24, reg(18)) == (Bytes{0x62, 0x22, 0x3d, 0x40, 0xb8, 0xea}));
  CHECK(code(kMultiplyAdd132, 22, 20, VectorOperand::columns(kRbx, 1)) ==
        (Bytes{0x62, 0xe2, 0x5d, 0x40, 0x98, 0x74, 0x0b, 0x01}));
  // vbroadcastss zmm22, [r12]
  CHECK(code(kBroadcast, 22, 0, VectorOperand::at(kR12, 0)) ==
        (Bytes{0x62, 0xc2, 0x7d, 0x48, 0x18, 0xb4, 0x24, 0, 0, 0, 0}));
  // vcmpgt_oqps k1, zmm21, zmm0; vblendmps zmm25{k1}, zmm21, zmm22; vpslld zmm24, zmm24, 23
  CHECK(code(kCompare, 1, 21, reg(0), 0x1E) == (Bytes{0x62, 0xf1, 0x54, 0x40, 0xc2, 0xc8, 0x1e}));
  CHECK(code(kBlendByMask, 25, 21, reg(22), -1, 1) == (Bytes{0x62, 0x22, 0x55, 0x41, 0x65, 0xce}));
  CHECK(code(kShiftGroup, 6, 24, reg(24), 23) == (Bytes{0x62, 0x91, 0x3d, 0x40, 0x72, 0xf0, 0x17}));
}

void test_constants() {
  // An immediate byte stands between the address and the next instruction, which it counts from.
  const Bytes code = bytes_of(false, [](Assembler& a) {
    a.vector(kCompare, 0, 0, VectorOperand::constant(32), 0x11);
    a.place_constants({1, 2});
  });
  CHECK(code.size() == 64 + 2 * 32);
  int32_t displacement, value;
  std::memcpy(&displacement, &code[5], 4);
  CHECK(displacement == 64 + 32 - 10);
  std::memcpy(&value, &code[64 + 32 + 28], 4);
  CHECK(value == 2);
}

void test_general_registers() {
  const Bytes code = bytes_of(false, [](Assembler& a) {
    a.push(kR15);
    a.pop(kRbx);
    a.move(kR11, kRcx);
    a.load(kRax, kRdi, 8);
    a.clear(kRcx);
    a.add(kRdi, 0x40);
    a.compare(kRcx, kRsi);
    a.move_if_above(kRcx, kRsi);
    a.decrement(kRdx);
    a.jump_if_below(0);
    a.jump_unless_zero(0);
    a.ret();
  });
  CHECK(code == (Bytes{0x41, 0x57, 0x5b, 0x49, 0x89, 0xcb, 0x48, 0x8b, 0x87, 8,    0,    0,
                       0,    0x48, 0x31, 0xc9, 0x48, 0x81, 0xc7, 0x40, 0,    0,    0,    0x48,
                       0x39, 0xf1, 0x48, 0x0f, 0x47, 0xce, 0x48, 0xff, 0xca, 0x0f, 0x82, 0xd9,
                       0xff, 0xff, 0xff, 0x0f, 0x85, 0xd3, 0xff, 0xff, 0xff, 0xc3}));
}

#if defined(__x86_64__)
void test_memory_runs() {
  // mov eax, 42; ret
  const auto memory = make_executable_memory({0xb8, 42, 0, 0, 0, 0xc3});
  if (memory == nullptr) return;  // a system that allows none
  const auto function = reinterpret_cast<int (*)()>(const_cast<void*>(memory.get()));
  CHECK(function() == 42);
}
#endif

}  // namespace
}  // namespace cavs

int main() {
  cavs::test_vectors_of_32_bytes();
  cavs::test_vectors_of_64_bytes();
  cavs::test_constants();
  cavs::test_general_registers();
#if defined(__x86_64__)
  cavs::test_memory_runs();
#endif
  return cavs_test::result();
}
