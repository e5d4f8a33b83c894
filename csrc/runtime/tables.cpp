// Finds the arrays that a table of an instruction stands for.
#include "runtime/tables.h"

#include <iterator>

namespace cavs {
namespace {

// In the order of List.
constexpr std::vector<int32_t> Schedule::* kMembers[] = {
    &Schedule::vertex_order, &Schedule::edge_order,     &Schedule::child,
    &Schedule::parent,       &Schedule::edge_slot,      &Schedule::child_ptr,
    &Schedule::out_ptr,      &Schedule::out_edge,       &Schedule::graph,
    &Schedule::graph_ptr,    &Schedule::graph_vertex,   &Schedule::local,
    &Schedule::level_ptr,    &Schedule::level_edge_ptr, &Schedule::edge_graph,
    &Schedule::edge_local};

}  // namespace

const std::vector<int32_t>* list_of(const Schedule& schedule, List list, int argument) {
  const auto number = static_cast<size_t>(list);
  if (number < std::size(kMembers)) return &(schedule.*kMembers[number]);
  if (list == List::kSlot) return &schedule.slot(argument);
  if (list == List::kParentsPtr) return &schedule.parents(argument).ptr;
  if (list == List::kParentsRow) return &schedule.parents(argument).row;
  return list == List::kParentsSlot ? &schedule.parents(argument).slot : nullptr;
}

IndexTable resolve_table(const TableSpec& table, const TableSources& sources) {
  const auto find = [&](List list) { return sources.lists.find(list); };
  const auto index = [&](List list) { return IndexTable{find(list)}; };
  const auto csr = [&](List ptr, List list) { return IndexTable{nullptr, find(ptr), find(list)}; };
  const int n = table.argument;
  const auto number = static_cast<size_t>(n);
  switch (table.kind) {
    case TableKind::kNone:
      return {};
    case TableKind::kChild:
      return index(List::kChild);
    case TableKind::kSlot:
      return {sources.lists.find(List::kSlot, n)};
    case TableKind::kParent:
      return {find(List::kParent), nullptr, find(List::kEdgeSlot)};
    case TableKind::kChildren:
      return {nullptr, find(List::kChildPtr)};
    case TableKind::kChildRows:
      return csr(List::kChildPtr, List::kChild);
    case TableKind::kParents:
      return csr(List::kOutPtr, List::kOutEdge);
    case TableKind::kParentRows:
      return {nullptr, sources.lists.find(List::kParentsPtr, n),
              sources.lists.find(List::kParentsRow, n),
              n == 0 ? nullptr : sources.lists.find(List::kParentsSlot, n)};
    case TableKind::kGraph:
      return index(List::kGraph);
    case TableKind::kGraphVertices:
      return csr(List::kGraphPtr, List::kGraphVertex);
    case TableKind::kVertexOrder:
      return index(List::kVertexOrder);
    case TableKind::kEdgeOrder:
      return index(List::kEdgeOrder);
    case TableKind::kSiblings:
      return index(List::kParent);
    case TableKind::kUnique:
      return {sources.uniques[number].index};
    case TableKind::kUniqueRows:
      return {nullptr, sources.uniques[number].ptr, sources.uniques[number].list};
    case TableKind::kUniqueParents:
      return {nullptr, sources.parents[number].ptr, sources.parents[number].edge};
    case TableKind::kUniqueParentRows:
      return {nullptr, sources.parents[number].ptr, sources.parents[number].parent};
    case TableKind::kUniqueIds:
      return {sources.uniques[number].ids};
  }
  return {};
}

}  // namespace cavs
