// Finds the arrays that a table of an instruction stands for.
#include "runtime/tables.h"

namespace cavs {

const std::vector<int32_t>* list_of(const Program& program, const Schedule& schedule,
                                    const ListId& id) {
  const auto members = [&]() -> const Members& {
    return program.member_sets[static_cast<size_t>(id.argument)];
  };
  switch (id.list) {
    case List::kVertexOrder:
      return &schedule.vertex_order;
    case List::kGraph:
      return &schedule.graph_of_vertices();
    case List::kGraphPtr:
      return &schedule.graph_ptr;
    case List::kGraphVertex:
      return &schedule.graph_vertex;
    case List::kLocal:
      return &schedule.local_of_vertices();
    case List::kLevelPtr:
      return &schedule.level_ptr;
    case List::kLevelEdgePtr:
      return &schedule.level_edge_ptr;
    case List::kEdgeOrder:
      return &schedule.order_of_edges(id.edges);
    case List::kChild:
      return &schedule.child_of_edges(id.edges);
    case List::kParent:
      return &schedule.parent_of_edges(id.edges);
    case List::kEdgeSlot:
      return id.argument < 0 ? &schedule.last_slot_of_edges(id.edges)
                             : &schedule.slot_of_edges(id.edges);
    case List::kChildPtr:
      return &schedule.edges[static_cast<size_t>(id.edges)].ptr;
    case List::kOutPtr:
      return &schedule.out_edges(id.edges).ptr;
    case List::kOutEdge:
      return &schedule.out_edges(id.edges).edge;
    case List::kEdgeGraph:
      return &schedule.graph_of_edges(id.edges);
    case List::kEdgeLocal:
      return &schedule.local_of_edges(id.edges);
    case List::kVertexPlaces:
      return &schedule.places_of_vertices(members());
    case List::kEdgePlaces:
      return &schedule.places_of_edges(members(), id.edges);
    case List::kVerticesPtr:
      return &schedule.vertices_of_graphs(members()).ptr;
    case List::kVerticesOfGraph:
      return &schedule.vertices_of_graphs(members()).vertex;
    case List::kSlot:
      return &schedule.slot(id.argument, id.edges);
    case List::kParentsPtr:
      return &schedule.parents(id.argument, id.edges).ptr;
    case List::kParentsRow:
      return &schedule.parents(id.argument, id.edges).row;
    case List::kParentsSlot:
      return &schedule.parents(id.argument, id.edges).slot;
    default:
      return nullptr;
  }
}

IndexTable resolve_table(const TableSpec& table, const Space& space, const TableSources& sources) {
  const int n = table.argument;
  const auto number = static_cast<size_t>(n);
  const bool typed = table.members >= 0;
  const auto edges = [&] { return edge_list_of(sources.program, table.members); };
  const auto find = [&](List list, int argument = 0) {
    return sources.lists.find({list, argument, edges()});
  };
  const auto parents = [&] {
    const auto found = sources.parents.find({n, edges()});
    return found == sources.parents.end() ? UniqueParents() : found->second;
  };
  switch (table.kind) {
    case TableKind::kNone:
      return {};
    case TableKind::kChild:
      return {find(List::kChild)};
    case TableKind::kSlot:
      return {find(List::kSlot, n)};
    case TableKind::kParent:
      return {find(List::kParent), nullptr, find(List::kEdgeSlot, n)};
    case TableKind::kChildren:
      return {nullptr, find(List::kChildPtr)};
    case TableKind::kChildRows:
      return {nullptr, find(List::kChildPtr), find(List::kChild)};
    case TableKind::kParents:
      return {nullptr, find(List::kOutPtr), find(List::kOutEdge)};
    case TableKind::kParentRows:
      return {nullptr, find(List::kParentsPtr, n), find(List::kParentsRow, n),
              n == 0 ? nullptr : find(List::kParentsSlot, n)};
    case TableKind::kGraph:
      return {sources.lists.find({List::kGraph})};
    case TableKind::kGraphVertices:
      if (!typed) {
        return {nullptr, sources.lists.find({List::kGraphPtr}),
                sources.lists.find({List::kGraphVertex})};
      }
      return {nullptr, sources.lists.find({List::kVerticesPtr, table.members}),
              sources.lists.find({List::kVerticesOfGraph, table.members})};
    case TableKind::kVertexOrder:
      return {sources.lists.find(typed ? ListId{List::kVertexPlaces, table.members}
                                       : ListId{List::kVertexOrder})};
    case TableKind::kEdgeOrder:
      return {sources.lists.find(typed ? ListId{List::kEdgePlaces, table.members,
                                                edge_list_of(sources.program, space.members)}
                                       : ListId{List::kEdgeOrder})};
    case TableKind::kSiblings:
      return {find(List::kParent)};
    case TableKind::kUnique:
      return {sources.uniques[number].index};
    case TableKind::kUniqueRows:
      return {nullptr, sources.uniques[number].ptr, sources.uniques[number].list};
    case TableKind::kUniqueParents:
      return {nullptr, parents().ptr, parents().edge};
    case TableKind::kUniqueParentRows:
      return {nullptr, parents().ptr, parents().parent};
    case TableKind::kUniqueIds:
      return {sources.uniques[number].ids};
  }
  return {};
}

}  // namespace cavs
