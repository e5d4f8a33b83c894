// The form of elementwise groups, and the names of the scalar operations in them.
#include "group/group.h"

#include <algorithm>

#include "group/scalar_ops.h"

namespace cavs {
namespace {

constexpr size_t kMost = 1 << 16;     // of inputs, constants, calls or outputs
constexpr int64_t kWidest = 1 << 28;  // also the limit for the row of a value

// The expectation that call `number` fails, or null.
const char* wrong_call(const Group& group, int number) {
  const ScalarCall& call = group.calls[static_cast<size_t>(number)];
  const int arity = scalar_op_arity(call.op);
  if (arity < 0) return "known operations";
  for (int i = 0; i < static_cast<int>(call.arguments.size()); ++i) {
    const int argument = call.arguments[static_cast<size_t>(i)];
    if (i >= arity && argument != -1) return "as many arguments as the operation takes";
    if (i < arity && (argument < 0 || argument >= group.first_call() + number)) {
      return "arguments among inputs, constants and earlier calls";
    }
  }
  return nullptr;
}

// The number of each operation.
#define CAVS_OP_NUMBER(name, arity, expression) k_##name,
enum Number : int { CAVS_SCALAR_OPS(CAVS_OP_NUMBER) };
#undef CAVS_OP_NUMBER

}  // namespace

const char* wrong_group(const Group& group) {
  const auto few = [](size_t count) { return count < kMost; };
  if (!few(group.inputs.size()) || !few(group.constants.size()) || !few(group.calls.size()) ||
      !few(group.outputs.size())) {
    return "fewer than 2^16 operands and operations";
  }
  if (group.outputs.empty()) return "one output or more";
  if (group.width < 0 || group.width > kWidest) return "a width of 0..2^28";
  const int calls = static_cast<int>(group.calls.size());
  for (int i = 0; i < calls; ++i) {
    if (const char* expected = wrong_call(group, i)) return expected;
  }
  for (const int output : group.outputs) {
    if (output < group.first_call() || output >= group.first_call() + calls) {
      return "outputs that calls make";
    }
  }
  return nullptr;
}

const std::vector<std::string>& scalar_op_names() {
#define CAVS_OP_NAME(name, arity, expression) #name,
  // Never destroyed: native calls may go on while the process ends.
  static const auto* const names = new std::vector<std::string>{CAVS_SCALAR_OPS(CAVS_OP_NAME)};
#undef CAVS_OP_NAME
  return *names;
}

int scalar_opcode(const std::string& name) {
  const auto& names = scalar_op_names();
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

int scalar_op_arity(int opcode) {
#define CAVS_OP_ARITY(name, arity, expression) arity,
  static const int arities[] = {CAVS_SCALAR_OPS(CAVS_OP_ARITY)};
#undef CAVS_OP_ARITY
  const int count = static_cast<int>(sizeof(arities) / sizeof(arities[0]));
  return opcode >= 0 && opcode < count ? arities[opcode] : -1;
}

int scalar_op_flops(int opcode) {
  switch (opcode) {
#define CAVS_OP_FLOPS(name, flops) \
  case k_##name:                   \
    return flops;
    CAVS_SCALAR_FLOPS(CAVS_OP_FLOPS)
#undef CAVS_OP_FLOPS
    default:
      return 1;
  }
}

}  // namespace cavs
