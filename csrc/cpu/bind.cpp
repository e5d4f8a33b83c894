// Finds the operands, tables and memory of all calls of a sweep.
#include "cpu/bind.h"

#include "cpu/attention/attention.h"
#include "program/attention_check.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/places.h"
#include "runtime/tables.h"

namespace cavs {
namespace {

const void* attributes_of(const PreparedCall& call) {
  if (call.group) return call.group.get();
  return std::visit([](const auto& attributes) -> const void* { return &attributes; },
                    call.instruction->attributes);
}

class Binder {
 public:
  explicit Binder(BoundSweep* bound)
      : bound_(*bound),
        sweep_(bound->sweep),
        exe_(sweep_.exe),
        prepared_(bound->prepared),
        locals_(prepared_.locals(sweep_.keep)),
        lists_(exe_.program, sweep_.schedule),
        tables_{exe_.program, lists_, sweep_.uniques, sweep_.parents} {}

  void bind() {
    choose_weights();
    bound_.threads.resize(static_cast<size_t>(bound_.workspace.threads));
    reserve();
    for (size_t s = 0; s < prepared_.segments.size(); ++s) bind_segment(s);
    for (size_t t = 1; t < bound_.threads.size(); ++t) copy_code(static_cast<int>(t));
  }

 private:
  void choose_weights() {
    // In inference panels serve until the weight changes, so packing pays even for few rows.
    const bool inference = !exe_.program.backward && !sweep_.keep;
    for (size_t w = 0; w < prepared_.weights.uses.size(); ++w) {
      const WeightUse& use = prepared_.weights.uses[w];
      bound_.weights.emplace_back();
      PackedWeight& packed = bound_.weights.back();
      const ExternalArray& array = external_of(sweep_, use.value);
      packed.version = array.version;
      packed.panels = prepared_.packed->find(w, array.version);
      const bool serves = inference && array.version >= 0 && is_used(use, sweep_.counts);
      if (packed.panels) continue;
      if (!serves && !worth_packing(use, exe_.program, sweep_.counts, sweep_.schedule,
                                    bound_.workspace.chunks)) {
        continue;
      }
      const int64_t bytes = bytes_of_panels(exe_.program.dtype, use);
      packed.panels = prepared_.packed->take(w, bytes);
      packed.weight = array.data;
      packed.fresh = true;
    }
  }

  void reserve() {
    ThreadCode& code = bound_.threads[0];
    code.operands.reserve(prepared_.num_operands);  // calls point into it
    code.patches.reserve(prepared_.num_operands);
    code.calls.reserve(prepared_.calls.size());
    bound_.tables.reserve(prepared_.num_tables);  // calls point into it
    bound_.splittable.assign(prepared_.calls.size(), false);
    bound_.patches.reserve(prepared_.segments.size());
  }

  void bind_segment(size_t s) {
    const PreparedSegment& segment = prepared_.segments[s];
    ThreadCode& code = bound_.threads[0];
    PatchRange range;
    range.begin = static_cast<int>(code.patches.size());
    for (int i = segment.call_begin; i < segment.call_end; ++i) {
      const PreparedCall& call = prepared_.calls[static_cast<size_t>(i)];
      const size_t first = code.operands.size();
      bind_call(s, call);
      if (call.weight < 0) continue;
      bound_.splittable[static_cast<size_t>(i)] = product_of(*call.instruction) != nullptr;
      const auto& panels = bound_.weights[static_cast<size_t>(call.weight)].panels;
      if (!panels) continue;
      code.operands[first + static_cast<size_t>(call.weight_operand)].packed = panels->data();
    }
    range.end = static_cast<int>(code.patches.size());
    bound_.patches.push_back(range);
  }

  void bind_call(size_t s, const PreparedCall& prepared) {
    ThreadCode& code = bound_.threads[0];
    const Instruction& instruction = *prepared.instruction;
    KernelCall call;
    call.num_in = static_cast<int>(instruction.inputs.size());
    call.num_out = static_cast<int>(instruction.outputs.size());
    call.in = code.operands.data() + code.operands.size();
    call.out = call.in + call.num_in;
    call.attributes = attributes_of(prepared);
    call.tables = bound_.tables.data() + bound_.tables.size();
    call.random = &sweep_.random;
    call.scratch = thread_memory(0);
    for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
      for (const int id : *list) add_operand(s, id);
    }
    if (goes_over_graphs(instruction)) {
      add_tables_of_graphs(instruction);
    } else {
      for (const TableSpec& table : instruction.tables) add_table(instruction, table);
      if (is_attention(instruction)) add_own_tables(instruction);
    }
    code.calls.push_back(call);
  }

  void add_table(const Instruction& instruction, const TableSpec& table) {
    bound_.tables.push_back(resolve_table(table, instruction.space, tables_));
  }

  void add_own_tables(const Instruction& instruction) {
    check_places(instruction);
    for (const TableSpec& table : own_tables(instruction)) add_table(instruction, table);
  }

  void check_places(const Instruction& instruction) const {
    const auto list = static_cast<size_t>(edges_of_attention(exe_.program, instruction));
    cavs::check_places(instruction, sweep_.schedule.edges[list].max_arity);
  }

  // Runs of children are not written out as lists. See GraphTable.
  void add_tables_of_graphs(const Instruction& instruction) {
    check_places(instruction);
    const int list = edges_of_attention(exe_.program, instruction);
    const Schedule& schedule = sweep_.schedule;
    const AttentionPlaces& places = attention_places(schedule, list);
    for (const TableSpec& table : instruction.tables) {
      if (table.kind == TableKind::kChildRows && places.all_runs) {
        const EdgeRows& edges = schedule.edges[static_cast<size_t>(list)];
        bound_.tables.push_back({nullptr, edges.ptr.data()});
      } else {
        add_table(instruction, table);
      }
    }
    const Space& space =
        exe_.program.values[static_cast<size_t>(instruction.inputs[key_of(instruction)])].space;
    const RowCounts& counts = sweep_.counts;
    bound_.row_facts.push_back({static_cast<int32_t>(counts.first(space)),
                                static_cast<int32_t>(counts.last(space)),
                                instruction.space.kind == SpaceKind::kInner ? 1 : 0});
    bound_.tables.push_back({nullptr, places.parents->ptr.data(), places.parents->vertex.data()});
    bound_.tables.push_back({places.first.data(), places.child_ptr->data(), places.child->data(),
                             places.is_run.data()});
    bound_.tables.push_back(
        {bound_.row_facts.back().data(), schedule.graph_ptr.data(), schedule.graph_vertex.data()});
    bound_.tables.push_back(sizes_of_attention(instruction).zeroed > 0 ? edge_table(list)
                                                                       : IndexTable());
  }

  IndexTable edge_table(int list) const {
    const Schedule& schedule = sweep_.schedule;
    const AttentionEdges& edges = attention_edges(schedule, list);
    const int32_t* first = schedule.graph_edge.data();
    if (edges.edge != nullptr) return {nullptr, first, edges.edge->data(), edges.lines.data()};
    return {edges.to_edge.data(), first, edges.vertex.data(), edges.lines.data()};
  }

  std::byte* thread_memory(int thread) const {
    return sweep_.memory + sweep_.plan.workspace_offset + thread * bound_.workspace.thread_bytes;
  }

  void add_operand(size_t s, int id) {
    ThreadCode& code = bound_.threads[0];
    const Root& root = exe_.roots[id];
    const int local = locals_.number[static_cast<size_t>(root.value)];
    if (local < 0) {
      const ValueRows rows = rows_of(sweep_, id);
      code.operands.push_back({rows.data, rows.ld, rows.size, rows.padded});
      return;
    }
    const ValueRows form = form_of(exe_, id);
    const LocalValue& value = locals_.values[s][static_cast<size_t>(local)];
    const int64_t offset = bound_.workspace.chunks[s]->offsets[static_cast<size_t>(local)];
    Patch patch;
    patch.operand = static_cast<int>(code.operands.size());
    patch.edges = value.edges;
    patch.row_bytes = value.row_bytes;
    patch.base = thread_memory(0) + prepared_.scratch_bytes + offset +
                 root.column * item_size(exe_.forms[id].dtype);
    code.patches.push_back(patch);
    code.operands.push_back({nullptr, form.ld, form.size, form.padded});
  }

  // Thread t gets a copy of thread 0's code with its own operands and its own memory.
  void copy_code(int t) {
    const ThreadCode& from = bound_.threads[0];
    ThreadCode& code = bound_.threads[static_cast<size_t>(t)];
    code = from;
    const int64_t shift = t * bound_.workspace.thread_bytes;
    for (Patch& patch : code.patches) patch.base += shift;
    for (KernelCall& call : code.calls) {
      call.in = code.operands.data() + (call.in - from.operands.data());
      call.out = code.operands.data() + (call.out - from.operands.data());
      call.scratch = static_cast<std::byte*>(call.scratch) + shift;
    }
  }

  BoundSweep& bound_;
  const Sweep& sweep_;
  const Executable& exe_;
  const CpuProgram& prepared_;
  const Locals& locals_;
  const HostLists lists_;
  const TableSources tables_;
};

}  // namespace

BoundSweep::BoundSweep(const Sweep& given)
    : sweep(given),
      prepared(cpu_program(given.exe)),
      workspace(static_cast<const CpuWorkspace&>(*given.plan.workspace)) {
  Binder(this).bind();
  if (sweep.profile == nullptr) return;
  profile.resize(threads.size());
  for (ThreadProfile& thread : profile) thread.calls.resize(prepared.calls.size());
}

}  // namespace cavs
