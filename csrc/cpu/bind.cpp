#include "cpu/bind.h"

#include "base/error.h"
#include "program/text.h"

namespace cavs {
namespace {

const std::vector<ExternalArray>* list_of(const ArrayLists& arrays, Role role) {
  if (role == Role::kParam) return &arrays.params;
  if (role == Role::kInput) return &arrays.inputs;
  return role == Role::kOutput ? &arrays.outputs : nullptr;
}

const char* list_name(Role role) {
  return role == Role::kParam ? "parameter" : role == Role::kInput ? "input" : "output";
}

class Binder {
 public:
  Binder(const PhaseSources& sources, Phase* phase)
      : sources_(sources), phase_(*phase), exe_(*phase->exe) {}

  void bind() {
    choose_weights();
    phase_.threads.resize(static_cast<size_t>(phase_.plan->threads));
    reserve();
    for (size_t s = 0; s < exe_.program.segments.size(); ++s) bind_segment(static_cast<int>(s));
    for (size_t t = 1; t < phase_.threads.size(); ++t) copy_code(static_cast<int>(t));
  }

 private:
  void choose_weights() {
    // In inference panels serve until the weight changes, so that few rows pay for them too.
    const bool inference = !exe_.program.backward && phase_.layout == &exe_.dropped;
    for (size_t w = 0; w < exe_.weights.uses.size(); ++w) {
      const WeightUse& use = exe_.weights.uses[w];
      phase_.weights.emplace_back();
      PackedWeight& packed = phase_.weights.back();
      const ExternalArray& array = external_of(use.value);
      packed.version = array.version;
      packed.panels = exe_.packed->find(w, array.version);
      const bool serves = inference && array.version >= 0;
      if (packed.panels || !(serves || worth_packing(use, *phase_.counts))) continue;
      packed.panels = exe_.packed->take(w, packed_weight_bytes(exe_.program.dtype, use.k, use.n));
      packed.weight = array.data;
      packed.fresh = true;
    }
  }

  void reserve() {
    ThreadCode& code = phase_.threads[0];
    size_t operands = 0, calls = 0, tables = 0;
    for (const Segment& segment : exe_.program.segments) {
      calls += segment.instructions.size();
      for (const auto& call : segment.instructions) {
        operands += call.inputs.size() + call.outputs.size();
        tables += call.tables.size();
      }
    }
    code.operands.reserve(operands);  // calls point into it
    code.patches.reserve(operands);
    code.calls.reserve(calls);
    phase_.tables.reserve(tables);  // calls point into it
    phase_.instructions.reserve(calls);
    phase_.segments.reserve(exe_.program.segments.size());
  }

  void bind_segment(int s) {
    const Segment& segment = exe_.program.segments[s];
    ThreadCode& code = phase_.threads[0];
    SegmentCode range;
    range.call_begin = static_cast<int>(code.calls.size());
    range.patch_begin = static_cast<int>(code.patches.size());
    for (size_t i = 0; i < segment.instructions.size(); ++i) {
      if (phase_.first_nan != nullptr) {
        phase_.state_writes.push_back(&exe_.state_writes[static_cast<size_t>(s)][i]);
      }
      const size_t first = code.operands.size();
      bind_call(s, segment.instructions[i]);
      phase_.splittable.push_back(false);
      const int use = exe_.weights.of[static_cast<size_t>(s)][i];
      if (use < 0 || !phase_.weights[static_cast<size_t>(use)].panels) continue;
      const int operand = weight_operand(exe_.program, segment.instructions[i]);
      code.operands[first + static_cast<size_t>(operand)].packed =
          phase_.weights[static_cast<size_t>(use)].panels->data();
      phase_.splittable.back() = true;
    }
    range.call_end = static_cast<int>(code.calls.size());
    range.patch_end = static_cast<int>(code.patches.size());
    phase_.segments.push_back(range);
  }

  void bind_call(int s, const Instruction& instruction) {
    ThreadCode& code = phase_.threads[0];
    KernelCall call;
    call.num_in = static_cast<int>(instruction.inputs.size());
    call.num_out = static_cast<int>(instruction.outputs.size());
    call.in = code.operands.data() + code.operands.size();
    call.out = call.in + call.num_in;
    call.ints = instruction.ints.data();
    call.floats = instruction.floats.data();
    call.tables = phase_.tables.data() + phase_.tables.size();
    call.random = sources_.random;
    call.scratch = thread_memory(0);
    call.code = instruction.code.get();
    for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
      for (const int id : *list) add_operand(s, id);
    }
    for (const TableSpec& table : instruction.tables) phase_.tables.push_back(resolve(table));
    code.calls.push_back(call);
    phase_.instructions.push_back(&instruction);
  }

  std::byte* thread_memory(int thread) const {
    return sources_.arena->data() + phase_.plan->thread_offset + thread * phase_.plan->thread_bytes;
  }

  void add_operand(int s, int id) {
    ThreadCode& code = phase_.threads[0];
    const Root& root = exe_.roots[id];
    const DynamicTensor& form = exe_.forms[id];
    const ValueSpec& owner = exe_.program.values[root.value];
    Operand operand;
    operand.ld = form.ld;
    operand.size = form.size;
    operand.padded = owner.role == Role::kArena && root.value == id;
    const int64_t column = root.column * item_size(form.dtype);
    const int local = owner.role == Role::kArena ? phase_.layout->local[root.value] : -1;
    if (local >= 0) {
      const LocalValue& value = phase_.layout->segments[s].locals[local];
      Patch patch;
      patch.operand = static_cast<int>(code.operands.size());
      patch.edge = value.edge;
      patch.row_bytes = value.row_bytes;
      patch.base =
          thread_memory(0) + kScratchBytes + phase_.plan->chunks[s].offsets[local] + column;
      code.patches.push_back(patch);
    } else {
      operand.data = base_of(root.value) + column;
      const RowPlace& place = phase_.layout->places[static_cast<size_t>(root.value)];
      if (owner.role == Role::kArena) operand.ld = place.ld;
      operand.padded = operand.padded && place.whole;
    }
    code.operands.push_back(operand);
  }

  std::byte* base_of(int id) const {
    const ValueSpec& value = exe_.program.values[id];
    if (value.role == Role::kConstant) return exe_.constants->data() + id * kAlignment;
    if (value.role == Role::kArena) {
      // Integer arithmetic: row 0 may lie before the arena, where the rows in use begin later.
      const auto arena = reinterpret_cast<uintptr_t>(sources_.arena->data());
      return reinterpret_cast<std::byte*>(
          arena + static_cast<uintptr_t>(phase_.plan->origins[static_cast<size_t>(id)]));
    }
    return static_cast<std::byte*>(external_of(id).data);
  }

  const ExternalArray& external_of(int id) const {
    const ValueSpec& value = exe_.program.values[id];
    const bool of_forward =
        exe_.forward && id < static_cast<int>(exe_.forward->program.values.size());
    const auto* list = list_of(of_forward ? *sources_.forward : *sources_.own, value.role);
    return (*list)[static_cast<size_t>(value.index)];
  }

  IndexTable resolve(const TableSpec& table) const {
    const Schedule& schedule = *phase_.schedule;
    const auto unique = [&]() -> const UniqueTable& {
      return (*sources_.uniques)[static_cast<size_t>(table.argument)];
    };
    const auto parents = [&]() -> const UniqueParents& {
      return (*sources_.parents)[static_cast<size_t>(table.argument)];
    };
    switch (table.kind) {
      case TableKind::kNone:
        return {};
      case TableKind::kChild:
        return {schedule.child.data(), nullptr, nullptr};
      case TableKind::kSlot:
        return {schedule.slot(table.argument).data(), nullptr, nullptr};
      case TableKind::kParent:
        return {schedule.parent.data(), nullptr, schedule.edge_slot.data()};
      case TableKind::kChildren:
        return {nullptr, schedule.child_ptr.data(), nullptr};
      case TableKind::kChildRows:
        return {nullptr, schedule.child_ptr.data(), schedule.child.data()};
      case TableKind::kParents:
        return {nullptr, schedule.out_ptr.data(), schedule.out_edge.data()};
      case TableKind::kParentRows: {
        const ParentRows& parents = schedule.parents(table.argument);
        return {nullptr, parents.ptr.data(), parents.row.data(),
                table.argument == 0 ? nullptr : parents.slot.data()};
      }
      case TableKind::kGraph:
        return {schedule.graph.data(), nullptr, nullptr};
      case TableKind::kGraphVertices:
        return {nullptr, schedule.graph_ptr.data(), schedule.graph_vertex.data()};
      case TableKind::kVertexOrder:
        return {schedule.vertex_order.data(), nullptr, nullptr};
      case TableKind::kEdgeOrder:
        return {schedule.edge_order.data(), nullptr, nullptr};
      case TableKind::kEdgeSlot:
        return {schedule.edge_slot.data(), nullptr, nullptr};
      case TableKind::kSiblings:
        return {schedule.parent.data(), nullptr, nullptr};
      case TableKind::kUnique:
        return {unique().index, nullptr, nullptr};
      case TableKind::kUniqueRows:
        return {nullptr, unique().ptr, unique().list};
      case TableKind::kUniqueParents:
        return {nullptr, parents().ptr, parents().edge};
      case TableKind::kUniqueParentRows:
        return {nullptr, parents().ptr, parents().parent};
      case TableKind::kUniqueIds:
        return {unique().ids, nullptr, nullptr};
    }
    return {};
  }

  // Thread t's code is thread 0's with its own operands and its own memory.
  void copy_code(int t) {
    const ThreadCode& from = phase_.threads[0];
    ThreadCode& code = phase_.threads[static_cast<size_t>(t)];
    code = from;
    const int64_t shift = t * phase_.plan->thread_bytes;
    for (Patch& patch : code.patches) patch.base += shift;
    for (KernelCall& call : code.calls) {
      call.in = code.operands.data() + (call.in - from.operands.data());
      call.out = code.operands.data() + (call.out - from.operands.data());
      call.scratch = static_cast<std::byte*>(call.scratch) + shift;
    }
  }

  const PhaseSources& sources_;
  Phase& phase_;
  const Executable& exe_;
};

}  // namespace

void check_arrays(const Executable& exe, const RowCounts& counts, const ArrayLists& arrays) {
  const Program& program = exe.program;
  const Role roles[] = {Role::kParam, Role::kInput, Role::kOutput};
  for (int i = 0; i < 3; ++i) {
    const auto& list = *list_of(arrays, roles[i]);
    CAVS_CHECK(static_cast<int>(list.size()) >= exe.array_counts[i], ErrorKind::kShape,
               "[runtime] expected ", exe.array_counts[i], " ", list_name(roles[i]),
               " arrays, got ", list.size(), "; pass all arrays of the program");
  }
  const size_t own = exe.forward ? exe.forward->program.values.size() : 0;
  for (size_t id = own; id < program.values.size(); ++id) {
    const ValueSpec& value = program.values[id];
    const auto* list = list_of(arrays, value.role);
    if (list == nullptr) continue;
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

void bind_phase(const PhaseSources& sources, Phase* phase) { Binder(sources, phase).bind(); }

}  // namespace cavs
