#include "cpu/state_checks.h"

#include <algorithm>

#include "cpu/kernels/optimizers.h"

namespace cavs {
namespace {

template <class T>
void check_rows(const StateWrite& write, const KernelCall& call, FirstNan* first) {
  const Operand& operand = call.out[write.output];
  const T* data = static_cast<const T*>(operand.data) + write.column;
  const int64_t rows = call.row_end - call.row_begin;
  if (!has_nan(data + call.row_begin * operand.ld, rows, operand.ld, write.size)) return;
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    if (!has_nan(data + row * operand.ld, 1, operand.ld, write.size)) continue;
    first->note(row, write.state);
    return;
  }
}

}  // namespace

StateWrites find_state_writes(const Program& program, const std::vector<Root>& roots) {
  StateWrites found;
  for (const Segment& segment : program.segments) {
    found.emplace_back();
    for (const Instruction& instruction : segment.instructions) {
      std::vector<StateWrite> writes;
      for (size_t o = 0; o < instruction.outputs.size(); ++o) {
        const auto id = static_cast<size_t>(instruction.outputs[o]);
        for (size_t s = 0; s < program.states.size(); ++s) {
          const auto state = static_cast<size_t>(program.states[s]);
          if (roots[id].value != roots[state].value) continue;
          const int64_t begin = std::max(roots[id].column, roots[state].column);
          const int64_t end = std::min(roots[id].column + program.values[id].size,
                                       roots[state].column + program.values[state].size);
          if (begin >= end) continue;
          writes.push_back(
              {static_cast<int>(s), static_cast<int>(o), begin - roots[id].column, end - begin});
        }
      }
      found.back().push_back(std::move(writes));
    }
  }
  return found;
}

void FirstNan::note(int64_t row, int state) {
  const int64_t place = row << kStateBits | state;
  int64_t known = place_.load();
  while (place < known && !place_.compare_exchange_weak(known, place)) {
  }
}

void check_states(DType dtype, const std::vector<StateWrite>& writes, const KernelCall& call,
                  FirstNan* first) {
  for (const StateWrite& write : writes) {
    if (dtype == DType::kFloat64) {
      check_rows<double>(write, call, first);
    } else {
      check_rows<float>(write, call, first);
    }
  }
}

}  // namespace cavs
