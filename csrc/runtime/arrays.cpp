// Checks the arrays of a call against the values that they stand for.
#include "runtime/arrays.h"

#include "base/error.h"
#include "program/text.h"
#include "runtime/executable.h"
#include "runtime/row_counts.h"

namespace cavs {
namespace {

const char* list_name(Role role) {
  return role == Role::kParam ? "parameter" : role == Role::kInput ? "input" : "output";
}

}  // namespace

const std::vector<ExternalArray>* ArrayLists::of(Role role) const {
  if (role == Role::kParam) return &params;
  if (role == Role::kInput) return &inputs;
  if (role == Role::kState) return &states;
  return role == Role::kOutput ? &outputs : nullptr;
}

void check_arrays(const Executable& exe, const RowCounts& counts, const ArrayLists& arrays) {
  const Program& program = exe.program;
  const Role roles[] = {Role::kParam, Role::kInput, Role::kOutput};
  for (int i = 0; i < 3; ++i) {
    const auto& list = *arrays.of(roles[i]);
    CAVS_CHECK(static_cast<int>(list.size()) >= exe.array_counts[i], ErrorKind::kShape,
               "[runtime] expected ", exe.array_counts[i], " ", list_name(roles[i]),
               " arrays, got ", list.size(), "; pass all arrays of the program");
  }
  CAVS_CHECK(arrays.states.size() == exe.held_states.size(), ErrorKind::kRuntime,
             "[runtime] expected ", exe.held_states.size(), " held states, got ",
             arrays.states.size(), "; run a program that holds its states as a growth");
  for (size_t id = exe.first_value(); id < program.values.size(); ++id) {
    const ValueSpec& value = program.values[id];
    const auto* list = arrays.of(value.role);
    if (list == nullptr || value.role == Role::kState) continue;  // whose rows the holder counts
    const ExternalArray& array = (*list)[static_cast<size_t>(value.index)];
    CAVS_CHECK(array.dtype == value.dtype, ErrorKind::kShape, "[runtime] expected ",
               dtype_name(value.dtype), " for ", list_name(value.role), " '", value.name, "', got ",
               dtype_name(array.dtype), "; convert the array");
    CAVS_CHECK(value.space.kind != SpaceKind::kNone || array.elements == value.size,
               ErrorKind::kShape, "[runtime] expected ", value.size, " elements for ",
               list_name(value.role), " '", value.name, "', got ", array.elements,
               "; give it the shape that it was compiled with");
    const int64_t rows = counts.of(value.space);
    CAVS_CHECK(array.elements == rows * value.size, ErrorKind::kShape, "[runtime] expected ", rows,
               " rows (", space_name(value.space, program.uniques), ") of ", value.size,
               " elements for ", list_name(value.role), " '", value.name, "', got ", array.elements,
               " elements in all; give one row for each");
  }
}

}  // namespace cavs
