// Checks the register program of an elementwise group.
#include "program/group.h"

#include "cpu/kernel.h"

namespace cavs {
namespace {

constexpr int64_t kMost = 1 << 16;         // operands, registers, constants and operations, of each
constexpr int64_t kWidest = 1 << 28;       // as the widest row of a value
constexpr size_t kHead = 3, kWord = 5;     // integers before the operations, and of each of them
constexpr int kFirstSlot = 2, kSlots = 3;  // in the word of an operation

}  // namespace

const char* wrong_group(const std::vector<int64_t>& ints, size_t inputs, size_t constants,
                        size_t outputs) {
  constexpr auto most = static_cast<size_t>(kMost);
  if (inputs >= most || constants >= most || outputs >= most) return "fewer than 2^16 operands";
  if (outputs == 0) return "one output or more";
  if (ints.size() < kHead + 1) return "more attributes";
  const int64_t width = ints[0], registers = ints[1], operations = ints[2];
  if (width < 0 || width > kWidest) return "a width of 0..2^28";
  if (registers < 0 || registers >= kMost || operations < 0 || operations >= kMost) {
    return "counts of registers and operations in 0..2^16 - 1";
  }
  const size_t end = kHead + kWord * static_cast<size_t>(operations);
  if (ints.size() < end + 1 + outputs) return "more attributes";
  if (ints[end] != static_cast<int64_t>(outputs) || ints.size() != end + 1 + outputs) {
    return "a register for each output";
  }
  const auto first_register = static_cast<int64_t>(inputs);
  const int64_t first_constant = first_register + registers;
  const int64_t limit = first_constant + static_cast<int64_t>(constants);
  std::vector<bool> written(static_cast<size_t>(registers), false);
  for (size_t at = kHead; at < end; at += kWord) {
    const int64_t* word = ints.data() + at;
    const int arity =
        word[0] < 0 || word[0] > kMost ? -1 : scalar_op_arity(static_cast<int>(word[0]));
    if (arity < 0) return "known opcodes";
    if (word[1] < 0 || word[1] >= registers) return "results in one of the registers";
    for (int i = 0; i < kSlots; ++i) {
      const int64_t slot = word[kFirstSlot + i];
      if (slot < (i < arity ? 0 : -1) || slot >= limit) {
        return "arguments among inputs, registers and constants";
      }
      const bool is_register = slot >= first_register && slot < first_constant;
      if (is_register && !written[static_cast<size_t>(slot - first_register)]) {
        return "registers that are written before they are read";
      }
    }
    written[static_cast<size_t>(word[1])] = true;
  }
  for (size_t i = 0; i < outputs; ++i) {
    const int64_t result = ints[end + 1 + i];
    if (result < 0 || result >= registers || !written[static_cast<size_t>(result)]) {
      return "outputs from registers that are written";
    }
  }
  return nullptr;
}

}  // namespace cavs
