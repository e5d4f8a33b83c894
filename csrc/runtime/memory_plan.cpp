// Places values, tables and the backend's workspace in one arena.
#include "runtime/memory_plan.h"

#include <algorithm>

#include "runtime/unique.h"

namespace cavs {
namespace {

void reserve(const Executable& exe, SweepPlan* plan) {
  plan->lifetimes.reserve(exe.forms.size());
  plan->rows.reserve(exe.forms.size());
}

// Counts only the rows in use.
void add_lifetime(const Executable& exe, const Layout& layout, const RowCounts& counts,
                  SweepPlan* plan) {
  const size_t id = plan->lifetimes.size();
  const std::vector<Space>& used = layout.used[id].parts;
  plan->lifetimes.push_back({0, layout.first[id], layout.held_last[id], -1});
  plan->rows.push_back(counts.last(used) - counts.first(used));
  Lifetime& lifetime = plan->lifetimes.back();
  if (lifetime.last < lifetime.first) return;
  DynamicTensor tensor = exe.forms[id];
  tensor.ld = layout.places[id].ld;
  tensor.rows = plan->rows.back();
  // One more line: a kernel may read a vector past the last element of short rows.
  lifetime.bytes = tensor.bytes() + (tensor.ld % 16 == 0 && tensor.ld > 0 ? 0 : kAlignment);
}

// Bytes from where row 0 of a value would stand to the first row in use.
int64_t skipped_bytes(const Executable& exe, const Layout& layout, const RowCounts& counts,
                      size_t id) {
  return counts.first(layout.used[id].parts) * layout.places[id].ld *
         item_size(exe.forms[id].dtype);
}

// A forward value keeps its place from the start until the last step that reads it or a value that
// took its rows.
void place_forward_value(const SweepPlan& forward, int64_t skipped, size_t id, SweepPlan* plan) {
  Lifetime& lifetime = plan->lifetimes[id];
  if (lifetime.last < lifetime.first) return;
  lifetime.first = 0;
  const int64_t begin = forward.origins[id] + skipped;
  lifetime.offset = begin / kAlignment * kAlignment;
  lifetime.bytes += begin - lifetime.offset;
}

// Returns the offset at which the values end.
int64_t plan_values(const Executable& exe, const Layout& layout, const RowCounts& counts,
                    int64_t start, SweepPlan* plan) {
  // Values that backward reads stand side by side, so that values that are dead by then leave no
  // gaps between them.
  const MemoryPlan memory = plan_memory(plan->lifetimes, start, exe.steps.count());
  plan->origins.reserve(memory.offsets.size());
  for (size_t id = 0; id < memory.offsets.size(); ++id) {
    plan->origins.push_back(memory.offsets[id] - skipped_bytes(exe, layout, counts, id));
  }
  return memory.total;
}

void place_in_rows_of_others(const Layout& layout, SweepPlan* plan) {
  for (size_t id = 0; id < plan->origins.size(); ++id) {
    const RowPlace& place = layout.places[id];
    if (place.holder == static_cast<int>(id)) continue;
    plan->origins[id] = plan->origins[static_cast<size_t>(place.holder)] + place.column;
  }
}

// Plans the memory behind the values.
void finish(const Executable& exe, bool keep, const RowCounts& counts, const Schedule& schedule,
            int threads, int64_t values_end, SweepPlan* plan) {
  plan->workspace = exe.backend->workspace(exe, keep, counts, schedule, *plan->staged, threads);
  plan->lists_offset = values_end;
  plan->workspace_offset =
      align_up(values_end + parent_lists_bytes(exe, counts, schedule), plan->workspace->alignment);
  plan->total = plan->workspace_offset + plan->workspace->bytes;
}

}  // namespace

int64_t unique_base_rows(const Program& program, const RowCounts& counts, size_t unique) {
  const Space& base = program.uniques[unique].base;
  if (base.kind != SpaceKind::kUnique) return counts.span(base);
  return counts.span(program.uniques[static_cast<size_t>(base.unique)].base);
}

int64_t unique_section_bytes(const Program& program, const RowCounts& counts) {
  int64_t bytes = 0;
  for (size_t u = 0; u < program.uniques.size(); ++u) {
    bytes += unique_table_bytes(unique_base_rows(program, counts, u));
  }
  return bytes;
}

int64_t count_parents(const Space& base, const RowCounts& counts, const Schedule& schedule,
                      int list) {
  const auto& ptr = schedule.out_edges(list).ptr;
  return ptr[static_cast<size_t>(counts.last(base))] - ptr[static_cast<size_t>(counts.first(base))];
}

int64_t parent_lists_bytes(const Executable& exe, const RowCounts& counts,
                           const Schedule& schedule) {
  if (!exe.backend->allocator().on_host()) return 0;
  int64_t bytes = 0;
  for (const ParentList& it : exe.parent_lists) {
    const Space& base = exe.program.uniques[static_cast<size_t>(it.unique)].base;
    const int64_t edges = count_parents(base, counts, schedule, it.edges);
    bytes += unique_parents_bytes(counts.uniques[static_cast<size_t>(it.unique)], edges);
  }
  return bytes;
}

SweepPlan plan_forward(const Executable& exe, bool keep, const RowCounts& counts,
                       const Schedule& schedule, int threads) {
  const Layout& layout = exe.layout(keep);
  SweepPlan plan;
  reserve(exe, &plan);
  for (size_t id = 0; id < exe.forms.size(); ++id) add_lifetime(exe, layout, counts, &plan);
  plan.staged_offset = unique_section_bytes(exe.program, counts);
  plan.staged = exe.backend->stage(exe, keep, counts, schedule);
  const int64_t end =
      plan_values(exe, layout, counts, plan.staged_offset + plan.staged->bytes, &plan);
  place_in_rows_of_others(layout, &plan);
  finish(exe, keep, counts, schedule, threads, end, &plan);
  return plan;
}

SweepPlan plan_backward(const Executable& exe, bool retain, const SweepPlan& forward,
                        const RowCounts& counts, const Schedule& schedule, int threads) {
  const Layout& layout = exe.backward_layout(retain);
  SweepPlan plan;
  reserve(exe, &plan);
  for (size_t id = 0; id < exe.forms.size(); ++id) {
    add_lifetime(exe, layout, counts, &plan);
    if (id >= forward.origins.size()) continue;
    place_forward_value(forward, skipped_bytes(exe, layout, counts, id), id, &plan);
  }
  plan.staged_offset = forward.staged_offset;
  plan.staged = forward.staged;
  const int64_t end =
      plan_values(exe, layout, counts, plan.staged_offset + plan.staged->bytes, &plan);
  for (size_t id = 0; id < forward.origins.size(); ++id) plan.origins[id] = forward.origins[id];
  place_in_rows_of_others(layout, &plan);
  finish(exe, true, counts, schedule, threads, end, &plan);
  return plan;
}

}  // namespace cavs
