// Plans the memory of a run with the functions that the run uses.
#include "runtime/dry_run.h"

#include <algorithm>

#include "base/error.h"
#include "runtime/memory_plan.h"
#include "runtime/run.h"
#include "runtime/unique.h"

namespace cavs {
namespace {

SweepMemory memory_of(const Executable& exe, bool keep, const Layout& layout, const SweepPlan& plan,
                      const RowCounts& counts, const Schedule& schedule) {
  SweepMemory memory;
  memory.backward = exe.program.backward;
  memory.total = plan.total;
  memory.tables = unique_section_bytes((exe.forward ? *exe.forward : exe).program, counts) +
                  parent_lists_bytes(exe, counts, schedule);
  memory.threads = plan.total - plan.workspace_offset;
  memory.packed = exe.backend->bytes_kept(exe, keep, counts, schedule, *plan.workspace);
  for (size_t id = 0; id < plan.lifetimes.size(); ++id) {
    const RowPlace& place = layout.places[id];
    const auto holder = static_cast<size_t>(place.holder);
    const bool saved = id < exe.first_value();
    // In the step in which a value takes over rows, the rows count for the value that had them.
    const int first = saved ? 0 : layout.first[id] + (holder != id && place.whole ? 1 : 0);
    if (layout.last[id] < layout.first[id] || layout.last[id] < first) continue;
    DynamicTensor part = exe.forms[id];
    part.rows = plan.rows[id];
    memory.values.push_back({static_cast<int>(id), plan.rows[id],
                             place.whole ? plan.lifetimes[holder].bytes : part.bytes(),
                             exe.steps.segment_of(first), exe.steps.segment_of(layout.last[id])});
  }
  return memory;
}

}  // namespace

std::vector<SweepMemory> plan_sweeps(const Executable& exe, const Executable* backward,
                                     const Schedule& schedule,
                                     const std::vector<int64_t>& unique_rows, bool keep,
                                     int num_threads, bool retain) {
  check_threads(num_threads);
  RowCounts counts(exe.program, schedule);
  CAVS_CHECK(unique_rows.size() == exe.program.uniques.size(), ErrorKind::kValue,
             "[runtime] expected the rows of ", exe.program.uniques.size(), " uniques, got ",
             unique_rows.size(), "; give rows for each");
  check_schedule(exe, schedule);
  counts.uniques = unique_rows;
  for (size_t u = 0; u < unique_rows.size(); ++u) {
    const int64_t most =
        std::max(unique_base_rows(exe.program, counts, u), exe.program.uniques[u].rows);
    CAVS_CHECK(unique_rows[u] >= 0 && unique_rows[u] <= most, ErrorKind::kValue,
               "[runtime] expected 0..", most, " rows of unique '", exe.program.uniques[u].name,
               "', got ", unique_rows[u], "; count the ids of the batch");
  }
  const SweepPlan plan = plan_forward(exe, keep, counts, schedule, num_threads);
  std::vector<SweepMemory> sweeps = {
      memory_of(exe, keep, exe.layout(keep), plan, counts, schedule)};
  if (backward == nullptr || !keep) return sweeps;
  CAVS_CHECK(backward->forward.get() == &exe, ErrorKind::kValue,
             "[runtime] expected the backward program of this program, got another; pass the "
             "program that belongs to it");
  check_schedule(*backward, schedule);
  const RowCounts own = counts.of_program(backward->program);
  const SweepPlan second = plan_backward(*backward, retain, plan, own, schedule, num_threads);
  const Layout& layout = backward->backward_layout(retain);
  sweeps.push_back(memory_of(*backward, keep, layout, second, own, schedule));
  return sweeps;
}

}  // namespace cavs
