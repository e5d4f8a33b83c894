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
  std::set<int> found;
  for (const Segment& segment : exe.program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      for (const TableSpec& table : instruction.tables) {
        if (lists_parents(table.kind)) found.insert(table.argument);
      }
    }
  }
  exe.parent_lists.assign(found.begin(), found.end());
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
  CAVS_CHECK(!exe.leaves_first || schedule.num_leaves >= 0, ErrorKind::kValue,
             "[runtime] expected a schedule with all leaves first, got another; compile without "
             "specialize_leaves for this policy");
}

std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward,
                                                  Backend& backend) {
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
  prepare_forms(*exe);
  prepare_externals(*exe);
  exe->leaves_first = has_leaves_apart(exe->program);
  find_parent_lists(*exe);
  exe->state_writes = find_state_writes(exe->program, exe->roots);
  exe->steps = ProgramSteps(exe->program, backend.steps() == Steps::kInstructions);
  exe->kept = make_layout(*exe, true);
  exe->dropped = exe->program.backward ? exe->kept : make_layout(*exe, false);
  exe->prepared = backend.prepare(*exe);
  return exe;
}

std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward) {
  Backend& backend = backend_of(program.device);
  return make_executable(std::move(program), std::move(forward), backend);
}

}  // namespace cavs
