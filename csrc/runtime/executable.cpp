// Makes programs executable: checks them, and works out everything that holds for any batch.
#include "runtime/executable.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "program/kernels.h"
#include "program/validate.h"

namespace cavs {
namespace {

void prepare_forms(Executable& exe) {
  const auto& values = exe.program.values;
  exe.forms.reserve(values.size());
  for (size_t id = 0; id < values.size(); ++id) {
    const ValueSpec& root = values[exe.roots[id].value];
    DynamicTensor form(values[id].size, values[id].dtype);
    if (root.space.kind == SpaceKind::kNone) {
      form.ld = 0;
    } else {
      form.ld = root.role == Role::kArena ? row_stride(root.size) : root.size;
    }
    exe.forms.push_back(form);
  }
}

void check_supported(const Program& program, const Backend& backend) {
  for (const Segment& segment : program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      CAVS_CHECK(backend.supports(program, instruction), ErrorKind::kValue,
                 "[program] expected a kernel for ", dtype_name(program.dtype), ", got '",
                 instruction.kernel->name,
                 "', which this build does not have; take one of kernel_names()");
    }
  }
}

void find_parent_lists(Executable& exe) {
  std::set<ParentList> found;
  for (const Segment& segment : exe.program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      for (const TableSpec& table : instruction.tables) {
        if (!lists_parents(table.kind)) continue;
        found.insert({table.argument, edge_list_of(exe.program, table.members)});
      }
    }
  }
  exe.parent_lists.assign(found.begin(), found.end());
}

void find_sampled(Executable& exe) {
  for (const Segment& segment : exe.program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      const UniformAttributes* of = sampled_of(instruction.attributes);
      if (of == nullptr || of->rows == SampledRows::kGraph || of->rows == SampledRows::kBatch) {
        continue;
      }
      const auto same = [&](const SampledLists& it) {
        return it.rows == of->rows && it.edges == of->edges;
      };
      if (std::any_of(exe.sampled.begin(), exe.sampled.end(), same)) continue;
      exe.sampled.push_back({of->rows, of->edges});
    }
  }
}

void find_child_rows(Executable& exe) {
  const Program& program = exe.program;
  if (program.num_types == 0) return;
  for (const Segment& segment : program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      for (size_t i = 0; i < instruction.inputs.size(); ++i) {
        const TableSpec& table = instruction.tables[i];
        const bool slot = table.kind == TableKind::kSlot;
        if (!slot && table.kind != TableKind::kChild && table.kind != TableKind::kChildRows) {
          continue;
        }
        const int members =
            program.values[static_cast<size_t>(instruction.inputs[i])].space.members;
        if (members < 0) continue;
        exe.child_rows.push_back(
            {edge_list_of(program, table.members), slot ? table.argument : kAllSlots, members});
      }
    }
  }
}

// The operands of a program of types that children are read from must have rows of them.
void check_children(const Executable& exe, const Schedule& schedule) {
  for (const ChildRows& rows : exe.child_rows) {
    const std::vector<char>& there = schedule.types_of_children(rows.edges, rows.slot);
    const Members& members = exe.program.member_sets[static_cast<size_t>(rows.members)];
    for (size_t type = 0; type < there.size(); ++type) {
      const bool known = std::binary_search(members.begin(), members.end(), static_cast<int>(type));
      CAVS_CHECK(there[type] == 0 || known, ErrorKind::kValue,
                 "[runtime] expected children of types that scatter what is gathered, got type ",
                 schedule.order.names[type], "; check the graphs first");
    }
  }
}

// Types that run by level must have batches.
void check_batched(const Executable& exe, const Schedule& schedule) {
  if (!schedule.typed) return;
  for (const Segment& segment : exe.program.segments) {
    if (!by_levels(segment.kind)) continue;
    const auto type = static_cast<size_t>(type_of(exe.program, segment.space));
    CAVS_CHECK(schedule.order.batched[type] != 0, ErrorKind::kValue,
               "[runtime] expected batches of type ", schedule.order.names[type],
               " in the schedule, got none; make it with the program's order of types");
  }
}

bool same_types(const Program& program, const Schedule& schedule) {
  if (!schedule.typed) return program.num_types == 0;
  const auto& lists = schedule.order.lists;
  return static_cast<size_t>(program.num_types) == schedule.order.count() &&
         std::equal(lists.begin(), lists.end(), program.edge_lists.begin(),
                    program.edge_lists.end(), [](const auto& a, const EdgeList& b) {
                      return a.parents == b.parents && a.children == b.children;
                    });
}

bool has_leaves_apart(const Program& program) {
  const auto apart = [](const Space& space) {
    return space.kind == SpaceKind::kLeaf || space.kind == SpaceKind::kInner;
  };
  const auto any = [&](const auto& items) {
    return std::any_of(items.begin(), items.end(),
                       [&](const auto& item) { return apart(item.space); });
  };
  return any(program.values) || any(program.segments) ||
         std::any_of(program.segments.begin(), program.segments.end(),
                     [&](const Segment& segment) { return any(segment.instructions); }) ||
         std::any_of(program.uniques.begin(), program.uniques.end(),
                     [&](const UniqueSpec& unique) { return apart(unique.base); });
}

// Makes the states arrays of the caller.
void hold(Executable& exe) {
  exe.holds_states = true;
  for (const int state : exe.program.states) {
    const int root = exe.roots[static_cast<size_t>(state)].value;
    ValueSpec& value = exe.program.values[static_cast<size_t>(root)];
    if (value.role != Role::kArena) continue;
    value.role = Role::kState;
    value.index = static_cast<int>(exe.held_states.size());
    exe.held_states.push_back(root);
  }
}

void prepare_externals(Executable& exe) {
  const auto& values = exe.program.values;
  exe.array_counts.assign(3, 0);
  for (size_t id = exe.first_value(); id < values.size(); ++id) {
    const ValueSpec& value = values[id];
    const int list = value.role == Role::kParam    ? 0
                     : value.role == Role::kInput  ? 1
                     : value.role == Role::kOutput ? 2
                                                   : -1;
    if (list >= 0) exe.array_counts[list] = std::max(exe.array_counts[list], value.index + 1);
  }
  if (!exe.forward) {
    for (const UniqueSpec& unique : exe.program.uniques) {
      for (const int input : unique.inputs) {
        exe.array_counts[1] = std::max(exe.array_counts[1], input + 1);
      }
    }
  }
}

}  // namespace

const Layout& Executable::backward_layout(bool retain) const {
  if (!retain) return kept;
  std::call_once(retaining_once_, [this] {
    retaining_ = std::make_unique<const Layout>(make_retaining_layout(*this));
  });
  return *retaining_;
}

void check_schedule(const Executable& exe, const Schedule& schedule) {
  CAVS_CHECK(
      same_types(exe.program, schedule), ErrorKind::kValue,
      "[runtime] expected a schedule for the program's types and lists of edges, got one for "
      "others; make it with the program's order of types");
  CAVS_CHECK(!exe.leaves_first || schedule.num_leaves >= 0, ErrorKind::kValue,
             "[runtime] expected a schedule with all leaves first, got another; compile without "
             "specialize_leaves for this policy");
  check_batched(exe, schedule);
  check_children(exe, schedule);
}

std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward,
                                                  Backend& backend, bool hold_states) {
  auto exe = std::make_shared<Executable>();
  exe->program = std::move(program);
  exe->program.backward = forward != nullptr;
  exe->backend = &backend;
  if (forward) {
    CAVS_CHECK(forward->backend == &backend, ErrorKind::kValue,
               "[program] expected a backward program for the device of the forward one, got "
               "another; give both programs the same");
    exe->program.forward = std::shared_ptr<const Program>(forward, &forward->program);
  }
  exe->forward = std::move(forward);
  validate(exe->program);
  check_supported(exe->program, backend);
  exe->roots = resolve_views(exe->program);
  if (hold_states) hold(*exe);
  prepare_forms(*exe);
  prepare_externals(*exe);
  exe->leaves_first = has_leaves_apart(exe->program);
  find_parent_lists(*exe);
  find_sampled(*exe);
  find_child_rows(*exe);
  exe->state_writes = find_state_writes(exe->program, exe->roots);
  exe->steps = ProgramSteps(exe->program, backend.steps() == Steps::kInstructions);
  exe->kept = make_layout(*exe, true);
  exe->dropped = exe->program.backward ? exe->kept : make_layout(*exe, false);
  exe->prepared = backend.prepare(*exe);
  return exe;
}

std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward,
                                                  bool hold_states) {
  Backend& backend = backend_of(program.device);
  return make_executable(std::move(program), std::move(forward), backend, hold_states);
}

}  // namespace cavs
