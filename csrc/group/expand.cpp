// Writes the scalar operations of a group down as operations on vectors.
#include "group/expand.h"

#include "group/symbol.h"
// The lane type comes first.
#include "group/scalar_functions.h"

namespace cavs {
namespace {

#define CAVS_LIST_OP(name, arity, expression) &scalar_##name<Symbol>,
constexpr Symbol (*kWrite[])(Symbol, Symbol, Symbol) = {CAVS_SCALAR_OPS(CAVS_LIST_OP)};
#undef CAVS_LIST_OP

}  // namespace

Expanded expand(const Group& group) {
  Expanded result;
  std::vector<Symbol> values;
  current_code = &result.code;
  for (int i = 0; i < static_cast<int>(group.inputs.size()); ++i) {
    values.push_back(Symbol::of(written(VectorOp::kInput, -1, -1, -1, -1, i)));
  }
  for (const double constant : group.constants) {
    values.push_back(Symbol(static_cast<float>(constant)));
  }
  const auto value = [&](int number) {
    return number < 0 ? Symbol() : values[static_cast<size_t>(number)];
  };
  for (const ScalarCall& call : group.calls) {
    const auto& of = call.arguments;
    values.push_back(kWrite[call.op](value(of[0]), value(of[1]), value(of[2])));
  }
  current_code = nullptr;
  for (const int output : group.outputs) result.outputs.push_back(value(output).value);
  return result;
}

}  // namespace cavs
