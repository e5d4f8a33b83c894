// Counts the levels that go together, and says of the others why.
#include "cuda/levels/levels_choice.h"

#include <algorithm>

#include "cuda/launches/products.h"
#include "cuda/launches/products_blas.h"
#include "cuda/levels/levels.h"

namespace cavs::cuda {
namespace {

// An estimate, until measured on a card. A launch costs about what a barrier of the grid costs, and
// a level has fewer barriers than launches; but wide levels have work for products that read the
// weight less often than once for eight rows, which a kernel of a few lines at a time does.
constexpr int64_t kWidestLevel = 127;  // lines of each product; fewer than cuBLAS takes

int64_t most_lines() { return std::min(kWidestLevel, blas_limits().lines - 1); }

// Leaves alone make level 0.
int64_t first_level(const Program& program, size_t segment) {
  return program.segments[segment].space.kind == SpaceKind::kInner ? 1 : 0;
}

bool is_narrow(const Program& program, size_t segment, const std::vector<BoundCall>& calls,
               const Schedule& schedule, int64_t level) {
  const size_t sums = program.segments[segment].instructions.size();  // begin there
  for (size_t i = 0; i < calls.size(); ++i) {
    const Instruction& instruction = *calls[i].call.instruction;
    const int64_t count = rows_of_level(schedule, level, calls[i].prepared->edges);
    const MatmulAttributes* const product = product_of(instruction);
    int64_t lines = 1;
    if (i < sums && product != nullptr) {
      lines = calls[i].call.in[0].ld == 0 ? product->n : product->m;
    }
    if (count * lines > most_lines()) return false;
    if (i >= sums && !is_one_sum(program, instruction, static_cast<int>(count))) return false;
  }
  return true;
}

}  // namespace

int64_t rows_of_level(const Schedule& schedule, int64_t level, bool edges) {
  const auto& ptr = edges ? schedule.level_edge_ptr : schedule.level_ptr;
  const auto l = static_cast<size_t>(level);
  return ptr[l + 1] - ptr[l];
}

int64_t count_narrow(const Program& program, size_t segment, const std::vector<BoundCall>& calls,
                     const Schedule& schedule, int64_t level) {
  const int64_t first = first_level(program, segment), levels = schedule.num_batches();
  const int64_t step = program.backward ? -1 : 1;
  int64_t count = 0;
  for (int64_t l = level; l >= first && l < levels; l += step) {
    if (!is_narrow(program, segment, calls, schedule, l)) break;
    ++count;
  }
  return count;
}

LevelsChoice choose_levels(const LevelsCode& code, const Program& program, size_t segment,
                           const Schedule& schedule) {
  LevelsChoice choice;
  const int64_t first = first_level(program, segment), levels = schedule.num_batches();
  choice.levels = std::max<int64_t>(0, levels - first);
  if (schedule.typed) {
    const int type = type_of(program, program.segments[segment].space);
    const auto of_type = [type](const Batch& batch) { return batch.type == type; };
    choice.levels = std::count_if(schedule.batches.begin(), schedule.batches.end(), of_type);
  }
  if (choice.levels == 0) return choice;
  choice.why_not = persistent_levels() ? code.why_not(segment) : "CAVS_CUDA_PERSISTENT=0";
  if (schedule.typed) choice.why_not = "vertices have types";
  if (!choice.why_not.empty()) return choice;
  const BoundCalls blank = code.blank_calls(segment);
  bool wide = false;
  int64_t run = 0;  // narrow levels in a row
  for (int64_t level = first; level <= levels; ++level) {
    if (level < levels && is_narrow(program, segment, blank.calls, schedule, level)) {
      ++run;
      continue;
    }
    if (run >= kFewestLevels) choice.together += run;
    run = 0;
    wide = wide || level < levels;
  }
  if (choice.together < choice.levels) {
    choice.why_not = wide ? "more than " + std::to_string(most_lines()) +
                                " rows, or a level alone between such ones"
                          : "one level alone";
  }
  return choice;
}

}  // namespace cavs::cuda
