// Finds the memory of values: in the arena, in arrays of the caller, among the constants.
#include "runtime/places.h"

#include "runtime/executable.h"
#include "runtime/memory_plan.h"

namespace cavs {
namespace {

std::byte* base_of(const Sweep& sweep, int id) {
  const ValueSpec& value = sweep.exe.program.values[id];
  if (value.role == Role::kArena) {
    // Integer arithmetic: row 0 may lie before the arena, where the rows in use begin later.
    const auto arena = reinterpret_cast<uintptr_t>(sweep.memory);
    return reinterpret_cast<std::byte*>(
        arena + static_cast<uintptr_t>(sweep.plan.origins[static_cast<size_t>(id)]));
  }
  return static_cast<std::byte*>(external_of(sweep, id).data);
}

}  // namespace

ValueRows form_of(const Executable& exe, int id) {
  const DynamicTensor& form = exe.forms[id];
  const int root = exe.roots[id].value;
  return {nullptr, form.ld, form.size, exe.program.values[root].role == Role::kArena && root == id};
}

int64_t ld_of(const Executable& exe, const Layout& layout, int id) {
  const int root = exe.roots[id].value;
  const bool arena = exe.program.values[root].role == Role::kArena;
  return arena ? layout.places[static_cast<size_t>(root)].ld : exe.forms[id].ld;
}

ValueRows rows_of(const Sweep& sweep, int id) {
  const Executable& exe = sweep.exe;
  const Root& root = exe.roots[id];
  ValueRows rows = form_of(exe, id);
  rows.data = base_of(sweep, root.value) + root.column * item_size(exe.forms[id].dtype);
  rows.ld = ld_of(exe, sweep.layout, id);
  rows.padded = rows.padded && sweep.layout.places[static_cast<size_t>(root.value)].whole;
  return rows;
}

const ExternalArray& external_of(const Sweep& sweep, int id) {
  const Executable& exe = sweep.exe;
  const ValueSpec& value = exe.program.values[id];
  const bool of_forward = static_cast<size_t>(id) < exe.first_value();
  const auto* list = (of_forward ? sweep.forward : sweep.own).of(value.role);
  return (*list)[static_cast<size_t>(value.index)];
}

}  // namespace cavs
