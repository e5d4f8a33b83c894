// Knows the rows between which each kind of table leads.
#include "program/tables.h"

namespace cavs {
namespace {

// Whether each row of the unique has one id: a distinct id, or the id that is part of a tuple.
bool has_ids(const Program& program, int number) {
  const UniqueSpec& unique = program.uniques[number];
  return program.uniques[unique.of < 0 ? number : unique.of].inputs.size() == 1;
}

Space rows_of_ids(const Program& program, int number) {
  const UniqueSpec& unique = program.uniques[number];
  return unique.of < 0 ? Space{SpaceKind::kUnique, number} : unique.base;
}

}  // namespace

bool table_fits(const Program& program, const TableSpec& table, const Space& from, const Space& to,
                bool has_rows) {
  const auto fits = [](SpaceKind kind, SpaceKind wanted) {
    return kind == wanted || is_part(kind, wanted);
  };
  const auto connects = [&](SpaceKind a, SpaceKind b) {
    return fits(from.kind, a) && (!has_rows || fits(to.kind, b));
  };
  // The table may lead to any vertex, so an operand with rows of only leaves or only inner vertices
  // lacks some.
  const auto reaches_all = [&](SpaceKind a) {
    return fits(from.kind, a) && (!has_rows || to.kind == SpaceKind::kVertex);
  };
  const auto distinct = [&] { return distinct_rows(program.uniques, table.argument); };
  switch (table.kind) {
    case TableKind::kNone:
      return !has_rows || to == from || is_part(from.kind, to.kind);
    case TableKind::kChild:
      return reaches_all(SpaceKind::kEdge);
    case TableKind::kParent:
      return connects(SpaceKind::kEdge, SpaceKind::kVertex) && to.kind != SpaceKind::kLeaf;
    case TableKind::kSlot:
      return reaches_all(SpaceKind::kVertex);
    case TableKind::kVertexOrder:
      return connects(SpaceKind::kVertex, SpaceKind::kVertex);
    case TableKind::kChildren:
    case TableKind::kParents:
      return connects(SpaceKind::kVertex, SpaceKind::kEdge);
    case TableKind::kChildRows:
      return reaches_all(SpaceKind::kVertex);
    case TableKind::kParentRows:
      return connects(SpaceKind::kVertex, SpaceKind::kVertex) && to.kind != SpaceKind::kLeaf;
    case TableKind::kGraph:
      return connects(SpaceKind::kVertex, SpaceKind::kGraph);
    case TableKind::kGraphVertices:
      return reaches_all(SpaceKind::kGraph);
    case TableKind::kEdgeOrder:
    case TableKind::kSiblings:
      return connects(SpaceKind::kEdge, SpaceKind::kEdge);
    case TableKind::kUnique:
      return from == program.uniques[table.argument].base && (!has_rows || to == distinct());
    case TableKind::kUniqueRows:
      return from == distinct() && (!has_rows || to == program.uniques[table.argument].base);
    case TableKind::kUniqueIds:
      return has_ids(program, table.argument) && from == rows_of_ids(program, table.argument) &&
             !has_rows;
    case TableKind::kUniqueParents:
    case TableKind::kUniqueParentRows: {
      if (from != distinct() || !is_vertex_rows(program.uniques[table.argument].base.kind)) {
        return false;
      }
      if (table.kind == TableKind::kUniqueParents) return !has_rows || to.kind == SpaceKind::kEdge;
      return !has_rows || to.kind == SpaceKind::kVertex || to.kind == SpaceKind::kInner;
    }
  }
  return false;
}

}  // namespace cavs
