// Knows the rows between which each kind of table leads.
#include "program/tables.h"

#include <algorithm>

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

// Whether the rows have all vertices that are parents in the list.
bool is_part_of_parents(const Program& program, const EdgeList& list, const Space& rows) {
  const Members& members = program.member_sets[static_cast<size_t>(rows.members)];
  return std::binary_search(members.begin(), members.end(), list.parents);
}

// In a program of types: whether the table names the list of edges, or the types, that it leads
// along. Whether all children are of types that the operand has rows of shows in the schedule.
bool members_fit(const Program& program, const TableSpec& table, const Space& from, const Space& to,
                 bool has_rows) {
  const int members = table.members;
  if (program.num_types == 0) return members == -1;
  const auto list = [&]() -> const EdgeList& {
    return program.edge_lists[static_cast<size_t>(edge_list_of(program, members))];
  };
  const auto is_parents = [&](const Space& space) {
    return type_of(program, space) == list().parents &&
           program.member_sets[static_cast<size_t>(space.members)].size() == 1;
  };
  switch (table.kind) {
    case TableKind::kChild:
      return from.members == members;
    case TableKind::kParent:
      return from.members == members && (!has_rows || is_part_of_parents(program, list(), to));
    case TableKind::kSlot:
    case TableKind::kChildRows:
      return is_parents(from);
    case TableKind::kChildren:
      return is_parents(from) && (!has_rows || to.members == members);
    case TableKind::kParents:
      return !has_rows || to.members == members;
    case TableKind::kParentRows:
      return !has_rows || is_part_of_parents(program, list(), to);
    case TableKind::kSiblings:
      return from.members == members && (!has_rows || to.members == members);
    case TableKind::kUniqueParents:
      return !has_rows || to.members == members;
    case TableKind::kUniqueParentRows:
      return !has_rows || is_part_of_parents(program, list(), to);
    case TableKind::kGraphVertices:
      return !has_rows || has_members(program, to.members, members);
    case TableKind::kVertexOrder:
    case TableKind::kEdgeOrder:
      return has_members(program, members, from.members);
    default:
      return members == -1;
  }
}

}  // namespace

bool table_fits(const Program& program, const TableSpec& table, const Space& from, const Space& to,
                bool has_rows) {
  const auto fits = [](SpaceKind kind, SpaceKind wanted) {
    return kind == wanted || (wanted == SpaceKind::kVertex && is_vertex_rows(kind));
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
  if (!members_fit(program, table, from, to, has_rows)) return false;
  switch (table.kind) {
    case TableKind::kNone:
      return !has_rows || is_part(program, from, to);
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
