// Makes the machine code of groups executable.
#include "cpu/groups/group_code.h"

#include <utility>

#include "base/isa.h"
#include "cpu/groups/emit_rows.h"
#include "cpu/groups/executable_memory.h"
#include "cpu/groups/symbol.h"
#include "cpu/kernels/scalar_math.inl.h"
#include "cpu/kernels/scalar_ops.h"

namespace cavs {
namespace {

#define CAVS_TRACE_OP(name, arity, expression)                                          \
  Symbol trace_##name(Symbol a, [[maybe_unused]] Symbol b, [[maybe_unused]] Symbol c) { \
    [[maybe_unused]] const Symbol zero(0.0f), one(1.0f);                                \
    return expression;                                                                  \
  }
CAVS_SCALAR_OPS(CAVS_TRACE_OP)
#undef CAVS_TRACE_OP

#define CAVS_LIST_OP(name, arity, expression) &trace_##name,
constexpr Symbol (*kTraceOps[])(Symbol, Symbol, Symbol) = {CAVS_SCALAR_OPS(CAVS_LIST_OP)};
#undef CAVS_LIST_OP

// The values of the outputs, the group's operations being written to `code`.
std::vector<int> trace_group(const GroupSpec& spec, VectorCode* code) {
  const int num_in = static_cast<int>(spec.narrow.size());
  const int64_t num_regs = spec.ints[1], num_ops = spec.ints[2];
  std::vector<Symbol> slots(static_cast<size_t>(num_in + num_regs + spec.num_floats));
  current_code = code;
  for (int i = 0; i < num_in; ++i) {
    slots[static_cast<size_t>(i)] = Symbol::of(written(VectorOp::kInput, -1, -1, -1, -1, i));
  }
  for (int i = 0; i < spec.num_floats; ++i) {
    slots[static_cast<size_t>(num_in + num_regs + i)] = Symbol(static_cast<float>(spec.floats[i]));
  }
  const auto slot = [&](int64_t number) {
    return number < 0 ? Symbol() : slots[static_cast<size_t>(number)];
  };
  const int64_t* op = spec.ints + 3;
  for (int64_t i = 0; i < num_ops; ++i, op += 5) {
    slots[static_cast<size_t>(num_in + op[1])] =
        kTraceOps[op[0]](slot(op[2]), slot(op[3]), slot(op[4]));
  }
  current_code = nullptr;
  std::vector<int> outputs;
  for (int j = 0; j < spec.num_out; ++j) outputs.push_back(slot(num_in + op[1 + j]).value);
  return outputs;
}

#if defined(__x86_64__)
constexpr bool kHasEncoder = true;
#else
constexpr bool kHasEncoder = false;
#endif

constexpr int64_t kShortestRow = 16;    // elements; shorter ones are interpreted, many at a time
constexpr int64_t kMostSpilled = 4096;  // bytes
constexpr int kMostCopies = 4;

// How many vectors are computed side by side: several, so that their operations overlap in time,
// but not so many that the last ones of a row, which cover columns again, are mostly done twice.
int choose_copies(int64_t width, int64_t lanes) {
  const auto done = [&](int64_t step) { return (width + step - 1) / step * step; };
  int copies = kMostCopies;
  while (copies > 1 && (width < copies * lanes || 10 * done(copies * lanes) > 11 * done(lanes))) {
    copies /= 2;
  }
  return copies;
}

struct Traced {
  RowsCode rows;
  int64_t step;  // elements
};

Traced assemble(const GroupSpec& spec, bool wide) {
  VectorCode code;
  const std::vector<int> outputs = trace_group(spec, &code);
  const int64_t lanes = wide ? 16 : 8;
  for (int copies = choose_copies(spec.ints[0], lanes);; copies /= 2) {
    RowsCode rows = emit_rows(code, spec.narrow, outputs, copies, wide);
    if (copies == 1 || rows.spill_bytes == 0) return {std::move(rows), copies * lanes};
  }
}

}  // namespace

bool can_compile_groups() {
  static const bool can = [] {
    return kHasEncoder && current_isa() != Isa::kGeneric && make_executable_memory({0xC3});
  }();
  return can;
}

std::vector<uint8_t> assemble_group(const GroupSpec& spec, bool wide) {
  return assemble(spec, wide).rows.bytes;
}

std::shared_ptr<const GroupCode> compile_group(const GroupSpec& spec) {
  if (!can_compile_groups() || spec.ints[0] < kShortestRow) return nullptr;
  const Traced traced = assemble(spec, current_isa() == Isa::kAvx512);
  if (traced.rows.spill_bytes > kMostSpilled) return nullptr;
  const std::shared_ptr<const void> memory = make_executable_memory(traced.rows.bytes);
  if (memory == nullptr) return nullptr;
  struct Owned {
    GroupCode code;
    std::shared_ptr<const void> memory;
  };
  auto owned = std::make_shared<Owned>();
  owned->memory = memory;
  owned->code.function =
      reinterpret_cast<decltype(GroupCode::function)>(const_cast<void*>(memory.get()));
  owned->code.step = traced.step;
  owned->code.spill_bytes = traced.rows.spill_bytes;
  return {owned, &owned->code};
}

}  // namespace cavs
