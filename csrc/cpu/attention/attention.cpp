// Finds the kernels of attention for the instruction set at hand, and the memory that they need.
#include "cpu/attention/attention.h"

#include <algorithm>

#include "base/isa.h"

namespace cavs {
namespace {

int64_t largest(const std::vector<int32_t>& ptr) {
  int32_t most = 0;
  for (size_t g = 0; g + 1 < ptr.size(); ++g) most = std::max(most, ptr[g + 1] - ptr[g]);
  return most;
}

}  // namespace

const AttentionIsa& attention_isa() {
#if defined(__x86_64__)
  switch (current_isa()) {
    case Isa::kAvx512:
      return attention_avx512();
    case Isa::kAvx2:
      return attention_avx2();
    default:
      break;
  }
#endif
  return attention_generic();
}

int64_t attention_bytes(const Program& program, const Schedule& schedule) {
  int64_t bytes = 0;
  for (const Segment& segment : program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      if (!goes_over_graphs(instruction)) continue;
      const int list = edges_of_attention(program, instruction);
      const AttentionPlaces& places = attention_places(schedule, list);
      const AttentionAttributes& sizes = sizes_of_attention(instruction);
      AttentionWork work = {program.dtype, sizes, places.most_parents, largest(*places.child_ptr),
                            schedule.edges[static_cast<size_t>(list)].max_arity};
      if (sizes.zeroed > 0) work.dropout_lines = attention_edges(schedule, list).lines[0];
      bytes = std::max(bytes, attention_isa().bytes(work));
    }
  }
  return bytes;
}

}  // namespace cavs
