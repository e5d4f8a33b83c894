// Finds the memory that instructions reach, through views and tables.
#include "program/access.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "program/kernels.h"

namespace cavs {

std::vector<Root> resolve_views(const Program& program) {
  const auto& values = program.values;
  const int count = static_cast<int>(values.size());
  std::vector<Root> roots(values.size());
  for (int i = 0; i < count; ++i) {
    Root root{i, 0};
    for (int steps = 0; values[root.value].role == Role::kView; ++steps) {
      const ValueSpec& view = values[root.value];
      CAVS_CHECK(view.base >= 0 && view.base < count && steps < count, ErrorKind::kValue,
                 "[program] expected the view '", view.name,
                 "' to end at a value that owns memory, got base ", view.base, " of ", count,
                 " values; correct its base");
      const ValueSpec& base = values[view.base];
      CAVS_CHECK(view.column >= 0 && view.column <= base.size - view.size, ErrorKind::kValue,
                 "[program] expected columns ", view.column, "..", view.column + view.size,
                 " of view '", view.name, "' within the ", base.size, " of '", base.name,
                 "', got others; correct its columns");
      CAVS_CHECK(view.dtype == base.dtype && is_part(program, view.space, base.space),
                 ErrorKind::kValue, "[program] expected view '", view.name,
                 "' to have the dtype and space of '", base.name,
                 "', got others; correct the view");
      root = {view.base, root.column + view.column};
    }
    roots[i] = root;
  }
  return roots;
}

Access access_of(const Program& program, const Instruction& instruction, size_t input) {
  if (program.values[instruction.inputs[input]].space.kind == SpaceKind::kNone) {
    return Access::kShared;
  }
  switch (instruction.tables[input].kind) {
    case TableKind::kNone:
      return Access::kAligned;
    case TableKind::kParent:
    case TableKind::kChildren:
    case TableKind::kSiblings:
      return Access::kChunk;
    case TableKind::kVertexOrder:
    case TableKind::kEdgeOrder:
      return instruction.kernel->writes == Writes::kScattered ? Access::kAligned : Access::kCross;
    default:
      return Access::kCross;
  }
}

int64_t columns_read(const Program& program, const Instruction& instruction, size_t input) {
  const TableSpec& table = instruction.tables[input];
  const int slots = table.kind == TableKind::kParentRows ? std::abs(table.argument) : 0;
  const int64_t size = program.values[static_cast<size_t>(instruction.inputs[input])].size;
  return std::max(1, slots) * size;
}

bool lists_parents(TableKind kind) {
  return kind == TableKind::kUniqueParents || kind == TableKind::kUniqueParentRows;
}

bool is_list(TableKind kind) {
  return kind == TableKind::kChildren || kind == TableKind::kChildRows ||
         kind == TableKind::kParents || kind == TableKind::kParentRows ||
         kind == TableKind::kGraphVertices || kind == TableKind::kUniqueRows ||
         kind == TableKind::kUniqueParents || kind == TableKind::kUniqueParentRows;
}

}  // namespace cavs
