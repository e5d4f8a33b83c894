// Makes the machine code of groups executable.
#include "cpu/groups/group_code.h"

#include <utility>

#include "base/isa.h"
#include "cpu/groups/emit_rows.h"
#include "cpu/groups/executable_memory.h"
#include "group/expand.h"

namespace cavs {
namespace {

#if defined(__x86_64__)
constexpr bool kHasEncoder = true;
#else
constexpr bool kHasEncoder = false;
#endif

constexpr int64_t kShortestRow = 16;    // elements; shorter rows are interpreted, many at a time
constexpr int64_t kMostSpilled = 4096;  // bytes
constexpr int kMostCopies = 4;

// How many vectors are computed side by side: several, so that their operations overlap in time.
// The last step of a row computes some columns again, so the number is low enough that this costs
// at most a tenth more.
int choose_copies(int64_t width, int64_t lanes) {
  const auto done = [&](int64_t step) { return (width + step - 1) / step * step; };
  int copies = kMostCopies;
  while (copies > 1 && (width < copies * lanes || 10 * done(copies * lanes) > 11 * done(lanes))) {
    copies /= 2;
  }
  return copies;
}

struct Assembled {
  RowsCode rows;
  int64_t step;  // elements
};

Assembled assemble(const Group& group, bool wide) {
  const Expanded expanded = expand(group);
  std::vector<bool> narrow;
  for (const GroupInput& input : group.inputs) narrow.push_back(input.narrow);
  const int64_t lanes = wide ? 16 : 8;
  for (int copies = choose_copies(group.width, lanes);; copies /= 2) {
    RowsCode rows = emit_rows(expanded.code, narrow, expanded.outputs, copies, wide);
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

std::vector<uint8_t> assemble_group(const Group& group, bool wide) {
  return assemble(group, wide).rows.bytes;
}

std::shared_ptr<const GroupCode> compile_group(const Group& group) {
  if (!can_compile_groups() || group.width < kShortestRow) return nullptr;
  const Assembled made = assemble(group, current_isa() == Isa::kAvx512);
  if (made.rows.spill_bytes > kMostSpilled) return nullptr;
  const std::shared_ptr<const void> memory = make_executable_memory(made.rows.bytes);
  if (memory == nullptr) return nullptr;
  struct Owned {
    GroupCode code;
    std::shared_ptr<const void> memory;
  };
  auto owned = std::make_shared<Owned>();
  owned->memory = memory;
  owned->code.function =
      reinterpret_cast<decltype(GroupCode::function)>(const_cast<void*>(memory.get()));
  owned->code.step = made.step;
  owned->code.spill_bytes = made.rows.spill_bytes;
  return {owned, &owned->code};
}

}  // namespace cavs
