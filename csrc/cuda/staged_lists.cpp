// Finds the integers that programs read on the device, and packs them.
#include "cuda/staged_lists.h"

#include <cstring>

#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/unique.h"

namespace cavs::cuda {
namespace {

void add_lists(const TableSpec& table, std::set<ListId>* lists) {
  switch (table.kind) {
    case TableKind::kNone:
    case TableKind::kUnique:
    case TableKind::kUniqueRows:
    case TableKind::kUniqueIds:
      return;  // the tables of distinct ids have a place of their own
    case TableKind::kUniqueParents:
    case TableKind::kUniqueParentRows:
      lists->insert({List::kUniqueParents, table.argument});
      return;
    case TableKind::kChild:
      lists->insert({List::kChild});
      return;
    case TableKind::kSlot:
      lists->insert({List::kSlot, table.argument});
      return;
    case TableKind::kParent:
      lists->insert({{List::kParent}, {List::kEdgeSlot}});
      return;
    case TableKind::kChildren:
      lists->insert({List::kChildPtr});
      return;
    case TableKind::kChildRows:
      lists->insert({{List::kChildPtr}, {List::kChild}});
      return;
    case TableKind::kParents:
      lists->insert({{List::kOutPtr}, {List::kOutEdge}});
      return;
    case TableKind::kParentRows:
      lists->insert({{List::kParentsPtr, table.argument}, {List::kParentsRow, table.argument}});
      if (table.argument != 0) lists->insert({List::kParentsSlot, table.argument});
      return;
    case TableKind::kGraph:
      lists->insert({List::kGraph});
      return;
    case TableKind::kGraphVertices:
      lists->insert({{List::kGraphPtr}, {List::kGraphVertex}});
      return;
    case TableKind::kVertexOrder:
      lists->insert({List::kVertexOrder});
      return;
    case TableKind::kEdgeOrder:
      lists->insert({List::kEdgeOrder});
      return;
    case TableKind::kSiblings:
      lists->insert({List::kParent});
      return;
  }
}

void add_random(const Attributes& attributes, std::set<ListId>* lists) {
  const auto* sampled = std::get_if<DropoutAttributes>(&attributes);
  const UniformAttributes* uniform =
      sampled != nullptr ? sampled : std::get_if<UniformAttributes>(&attributes);
  if (uniform == nullptr) return;
  lists->insert({List::kGraphKeys});
  if (uniform->rows == SampledRows::kVertex) lists->insert({{List::kGraph}, {List::kLocal}});
  if (uniform->rows == SampledRows::kEdge) lists->insert({{List::kEdgeGraph}, {List::kEdgeLocal}});
}

struct HostArray {
  const void* data = nullptr;
  int64_t bytes = 0;
};

template <class T>
HostArray host_array(const std::vector<T>& values) {
  return {values.data(), static_cast<int64_t>(values.size() * sizeof(T))};
}

// An array of the schedule; nothing for the other lists.
HostArray array_of(const Schedule& schedule, const ListId& id) {
  switch (id.list) {
    case List::kVertexOrder:
      return host_array(schedule.vertex_order);
    case List::kEdgeOrder:
      return host_array(schedule.edge_order);
    case List::kChild:
      return host_array(schedule.child);
    case List::kParent:
      return host_array(schedule.parent);
    case List::kEdgeSlot:
      return host_array(schedule.edge_slot);
    case List::kChildPtr:
      return host_array(schedule.child_ptr);
    case List::kOutPtr:
      return host_array(schedule.out_ptr);
    case List::kOutEdge:
      return host_array(schedule.out_edge);
    case List::kGraph:
      return host_array(schedule.graph);
    case List::kGraphPtr:
      return host_array(schedule.graph_ptr);
    case List::kGraphVertex:
      return host_array(schedule.graph_vertex);
    case List::kLocal:
      return host_array(schedule.local);
    case List::kLevelPtr:
      return host_array(schedule.level_ptr);
    case List::kLevelEdgePtr:
      return host_array(schedule.level_edge_ptr);
    case List::kEdgeGraph:
      return host_array(schedule.edge_graph);
    case List::kEdgeLocal:
      return host_array(schedule.edge_local);
    case List::kSlot:
      return host_array(schedule.slot(id.argument));
    case List::kParentsPtr:
      return host_array(schedule.parents(id.argument).ptr);
    case List::kParentsRow:
      return host_array(schedule.parents(id.argument).row);
    case List::kParentsSlot:
      return host_array(schedule.parents(id.argument).slot);
    case List::kGraphKeys:
    case List::kInput:
    case List::kUniqueParents:
      return {};
  }
  return {};
}

// Elements of each integer input that a forward program reads as a value.
std::map<int, int64_t> integer_inputs(const Executable& exe, const RowCounts& counts) {
  std::map<int, int64_t> elements;
  for (const ValueSpec& value : exe.program.values) {
    if (value.role != Role::kInput || value.dtype != DType::kInt32) continue;
    elements[value.index] = counts.of(value.space) * value.size;
  }
  return elements;
}

int64_t edges_of_parents(const Program& program, int unique, const RowCounts& counts,
                         const Schedule& schedule) {
  return count_parents(program.uniques[static_cast<size_t>(unique)].base, counts, schedule);
}

// The lists of parents of a unique, with room at `memory`.
UniqueParents parents_at(std::byte* memory, int unique, const Sweep& sweep) {
  const int64_t rows = sweep.counts.uniques[static_cast<size_t>(unique)];
  return unique_parents_at(
      memory, rows, edges_of_parents(sweep.exe.program, unique, sweep.counts, sweep.schedule));
}

}  // namespace

std::set<ListId> lists_read(const Program& program) {
  std::set<ListId> lists;
  for (const Segment& segment : program.segments) {
    if (segment.kind == SegmentKind::kLevels) {
      lists.insert({{List::kLevelPtr}, {List::kLevelEdgePtr}});
    }
    for (const Instruction& instruction : segment.instructions) {
      for (const TableSpec& table : instruction.tables) add_lists(table, &lists);
      add_random(instruction.attributes, &lists);
    }
  }
  if (program.backward) return lists;  // its forward program staged the inputs
  for (const ValueSpec& value : program.values) {
    if (value.role == Role::kInput && value.dtype == DType::kInt32) {
      lists.insert({List::kInput, value.index});
    }
  }
  return lists;
}

StagedLists::StagedLists(const std::set<ListId>& lists, const Executable& exe,
                         const RowCounts& counts, const Schedule& schedule) {
  const std::map<int, int64_t> inputs = integer_inputs(exe, counts);
  for (const ListId& id : lists) {
    int64_t size = array_of(schedule, id).bytes;
    if (id.list == List::kGraphKeys) {
      size = schedule.num_graphs * static_cast<int64_t>(sizeof(int64_t));
    } else if (id.list == List::kInput) {
      size = inputs.at(id.argument) * static_cast<int64_t>(sizeof(int32_t));
    } else if (id.list == List::kUniqueParents) {
      size = unique_parents_bytes(counts.uniques[static_cast<size_t>(id.argument)],
                                  edges_of_parents(exe.program, id.argument, counts, schedule));
    }
    offsets_[id] = bytes;
    bytes += align_up(size);
  }
}

void StagedLists::write(const Sweep& sweep, std::byte* block) const {
  const Schedule& schedule = sweep.schedule;
  for (const auto& [id, offset] : offsets_) {
    if (id.list == List::kUniqueParents) {
      UniqueParents lists = parents_at(block + offset, id.argument, sweep);
      list_parents(sweep.uniques[static_cast<size_t>(id.argument)], schedule, &lists);
      continue;
    }
    HostArray array = array_of(schedule, id);
    if (id.list == List::kGraphKeys) {
      const auto bytes = schedule.num_graphs * static_cast<int64_t>(sizeof(int64_t));
      array = {sweep.random.graph_key, bytes};
    } else if (id.list == List::kInput) {
      const ExternalArray& input = sweep.own.inputs[static_cast<size_t>(id.argument)];
      array = {input.data, input.elements * static_cast<int64_t>(sizeof(int32_t))};
    }
    if (array.bytes > 0) std::memcpy(block + offset, array.data, static_cast<size_t>(array.bytes));
  }
}

void DeviceLists::add(const StagedLists& staged, Address address) {
  for (const auto& [id, offset] : staged.offsets()) {
    addresses_[id] = address + static_cast<Address>(offset);
  }
}

void DeviceLists::finish() {
  vertex_order = find(List::kVertexOrder);
  edge_order = find(List::kEdgeOrder);
  child = find(List::kChild);
  parent = find(List::kParent);
  edge_slot = find(List::kEdgeSlot);
  child_ptr = find(List::kChildPtr);
  out_ptr = find(List::kOutPtr);
  out_edge = find(List::kOutEdge);
  graph = find(List::kGraph);
  graph_ptr = find(List::kGraphPtr);
  graph_vertex = find(List::kGraphVertex);
}

const int32_t* DeviceLists::find(List list, int argument) const {
  const auto found = addresses_.find({list, argument});
  return found == addresses_.end() ? nullptr : reinterpret_cast<const int32_t*>(found->second);
}

ScheduleArrays::Parents DeviceLists::parents(int slots) const {
  return {find(List::kParentsPtr, slots), find(List::kParentsRow, slots),
          slots == 0 ? nullptr : find(List::kParentsSlot, slots)};
}

std::vector<UniqueParents> DeviceLists::unique_parents(const Sweep& sweep) const {
  std::vector<UniqueParents> parents(sweep.uniques.size());
  for (const int u : sweep.exe.parent_lists) {
    auto* memory = reinterpret_cast<std::byte*>(addresses_.at({List::kUniqueParents, u}));
    parents[static_cast<size_t>(u)] = parents_at(memory, u, sweep);
  }
  return parents;
}

}  // namespace cavs::cuda
