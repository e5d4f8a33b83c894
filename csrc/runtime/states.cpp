// Finds the instructions that write states, and keeps the first NaN of them.
#include "runtime/states.h"

#include <algorithm>
#include <utility>

namespace cavs {

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

void FirstNan::note_place(int64_t place) {
  int64_t known = place_.load();
  while (place < known && !place_.compare_exchange_weak(known, place)) {
  }
}

}  // namespace cavs
