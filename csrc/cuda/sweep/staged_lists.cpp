// Finds the integers that programs read on the device, and packs them.
#include "cuda/sweep/staged_lists.h"

#include <cstring>

#include "cuda/sweep/bound_calls.h"
#include "program/access.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/unique.h"

namespace cavs::cuda {
namespace {

// Notes which lists tables are made of.
class Asked final : public Lists {
 public:
  explicit Asked(std::set<ListId>* lists) : lists_(*lists) {}
  const int32_t* find(const ListId& id) const override {
    lists_.insert(id);
    return nullptr;
  }

 private:
  std::set<ListId>& lists_;
};

void add_random(const Program& program, const Instruction& instruction, std::set<ListId>* lists) {
  if (is_attention(instruction) && sizes_of_attention(instruction).zeroed > 0) {
    const int edges = edges_of_attention(program, instruction);
    lists->insert({{List::kGraphKeys}, {List::kGraph}, {List::kEdgeLocal, 0, edges}});
    return;
  }
  const UniformAttributes* sampled = sampled_of(instruction.attributes);
  if (sampled == nullptr || sampled->rows == SampledRows::kBatch) return;
  lists->insert({List::kGraphKeys});
  if (sampled->rows == SampledRows::kVertex) lists->insert({{List::kGraph}, {List::kLocal}});
  if (sampled->rows == SampledRows::kEdge) {
    const int edges = sampled->edges;
    lists->insert({{List::kEdgeGraph, 0, edges}, {List::kEdgeLocal, 0, edges}});
  }
}

struct HostArray {
  const void* data = nullptr;
  int64_t bytes = 0;
};

// A list of the schedule; nothing for the others.
HostArray array_of(const Program& program, const Schedule& schedule, const ListId& id) {
  const std::vector<int32_t>* const list = list_of(program, schedule, id);
  if (list == nullptr) return {};
  return {list->data(), static_cast<int64_t>(list->size() * sizeof(int32_t))};
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

int64_t edges_of_parents(const Program& program, const ParentList& list, const RowCounts& counts,
                         const Schedule& schedule) {
  const Space& base = program.uniques[static_cast<size_t>(list.unique)].base;
  return count_parents(base, counts, schedule, list.edges);
}

// The lists of parents of a unique, with room at `memory`.
UniqueParents parents_at(std::byte* memory, const ParentList& list, const Sweep& sweep) {
  const int64_t rows = sweep.counts.uniques[static_cast<size_t>(list.unique)];
  return unique_parents_at(memory, rows,
                           edges_of_parents(sweep.exe.program, list, sweep.counts, sweep.schedule));
}

}  // namespace

std::set<ListId> lists_read(const Program& program) {
  std::set<ListId> lists;
  const Asked asked(&lists);
  // The tables of distinct ids have a place of their own.
  const std::vector<UniqueTable> uniques(program.uniques.size());
  const ParentTables parents;
  for (const Segment& segment : program.segments) {
    if (segment.kind == SegmentKind::kLevels && program.num_types == 0) {
      lists.insert({{List::kLevelPtr}, {List::kLevelEdgePtr}});
    }
    for (const Instruction& instruction : segment.instructions) {
      for (const TableSpec& table : instruction.tables) {
        resolve_table(table, instruction.space, {program, asked, uniques, parents});
        if (!lists_parents(table.kind)) continue;
        const int edges = edge_list_of(program, table.members);
        lists.insert({List::kUniqueParents, table.argument, edges});
      }
      for (const TableSpec& table : further_tables(instruction)) {
        resolve_table(table, instruction.space, {program, asked, uniques, parents});
      }
      add_random(program, instruction, &lists);
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
    int64_t size = array_of(exe.program, schedule, id).bytes;
    if (id.list == List::kGraphKeys) {
      size = schedule.num_graphs * static_cast<int64_t>(sizeof(int64_t));
    } else if (id.list == List::kInput) {
      size = inputs.at(id.argument) * static_cast<int64_t>(sizeof(int32_t));
    } else if (id.list == List::kUniqueParents) {
      size = unique_parents_bytes(
          counts.uniques[static_cast<size_t>(id.argument)],
          edges_of_parents(exe.program, {id.argument, id.edges}, counts, schedule));
    }
    offsets_[id] = bytes;
    bytes += align_up(size);
  }
}

void StagedLists::write(const Sweep& sweep, std::byte* block) const {
  const Schedule& schedule = sweep.schedule;
  for (const auto& [id, offset] : offsets_) {
    if (id.list == List::kUniqueParents) {
      UniqueParents lists = parents_at(block + offset, {id.argument, id.edges}, sweep);
      list_parents(sweep.uniques[static_cast<size_t>(id.argument)], schedule, id.edges, &lists);
      continue;
    }
    HostArray array = array_of(sweep.exe.program, schedule, id);
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

const int32_t* DeviceLists::find(const ListId& id) const {
  const auto found = addresses_.find(id);
  return found == addresses_.end() ? nullptr : reinterpret_cast<const int32_t*>(found->second);
}

ParentTables DeviceLists::unique_parents(const Sweep& sweep) const {
  ParentTables parents;
  for (const ParentList& it : sweep.exe.parent_lists) {
    const ListId id{List::kUniqueParents, it.unique, it.edges};
    parents[it] = parents_at(reinterpret_cast<std::byte*>(addresses_.at(id)), it, sweep);
  }
  return parents;
}

}  // namespace cavs::cuda
