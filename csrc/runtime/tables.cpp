// Finds the arrays that a table of an instruction stands for.
#include "runtime/tables.h"

namespace cavs {

HostScheduleArrays::HostScheduleArrays(const Schedule& schedule) : schedule_(schedule) {
  vertex_order = schedule.vertex_order.data();
  edge_order = schedule.edge_order.data();
  child = schedule.child.data();
  parent = schedule.parent.data();
  edge_slot = schedule.edge_slot.data();
  child_ptr = schedule.child_ptr.data();
  out_ptr = schedule.out_ptr.data();
  out_edge = schedule.out_edge.data();
  graph = schedule.graph.data();
  graph_ptr = schedule.graph_ptr.data();
  graph_vertex = schedule.graph_vertex.data();
}

const int32_t* HostScheduleArrays::slot(int k) const { return schedule_.slot(k).data(); }

ScheduleArrays::Parents HostScheduleArrays::parents(int slots) const {
  const ParentRows& rows = schedule_.parents(slots);
  return {rows.ptr.data(), rows.row.data(), rows.slot.data()};
}

IndexTable resolve_table(const TableSpec& table, const TableSources& sources) {
  const ScheduleArrays& schedule = sources.schedule;
  const auto number = static_cast<size_t>(table.argument);
  switch (table.kind) {
    case TableKind::kNone:
      return {};
    case TableKind::kChild:
      return {schedule.child, nullptr, nullptr};
    case TableKind::kSlot:
      return {schedule.slot(table.argument), nullptr, nullptr};
    case TableKind::kParent:
      return {schedule.parent, nullptr, schedule.edge_slot};
    case TableKind::kChildren:
      return {nullptr, schedule.child_ptr, nullptr};
    case TableKind::kChildRows:
      return {nullptr, schedule.child_ptr, schedule.child};
    case TableKind::kParents:
      return {nullptr, schedule.out_ptr, schedule.out_edge};
    case TableKind::kParentRows: {
      const ScheduleArrays::Parents parents = schedule.parents(table.argument);
      return {nullptr, parents.ptr, parents.row, table.argument == 0 ? nullptr : parents.slot};
    }
    case TableKind::kGraph:
      return {schedule.graph, nullptr, nullptr};
    case TableKind::kGraphVertices:
      return {nullptr, schedule.graph_ptr, schedule.graph_vertex};
    case TableKind::kVertexOrder:
      return {schedule.vertex_order, nullptr, nullptr};
    case TableKind::kEdgeOrder:
      return {schedule.edge_order, nullptr, nullptr};
    case TableKind::kSiblings:
      return {schedule.parent, nullptr, nullptr};
    case TableKind::kUnique:
      return {sources.uniques[number].index, nullptr, nullptr};
    case TableKind::kUniqueRows:
      return {nullptr, sources.uniques[number].ptr, sources.uniques[number].list};
    case TableKind::kUniqueParents:
      return {nullptr, sources.parents[number].ptr, sources.parents[number].edge};
    case TableKind::kUniqueParentRows:
      return {nullptr, sources.parents[number].ptr, sources.parents[number].parent};
    case TableKind::kUniqueIds:
      return {sources.uniques[number].ids, nullptr, nullptr};
  }
  return {};
}

}  // namespace cavs
