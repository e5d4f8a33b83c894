#include "runtime/executable.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cpu/groups/group_code.h"
#include "memory/planner.h"
#include "program/text.h"
#include "program/validate.h"

namespace cavs {
namespace {

std::mutex options_mutex;
ExecutionOptions current_options;

constexpr int64_t kFewestChunkRows = 32;
constexpr int64_t kMostChunkRows = 1 << 24;

// Nanoseconds per row on one core of the last years, to within a small factor: what matters is
// whether a level costs one microsecond or a hundred.
double row_cost(const Program& program, const Instruction& instruction) {
  constexpr double kElementsPerNs = 4;
  const auto& ints = instruction.ints;
  if (instruction.kernel.rfind("matmul", 0) == 0) {
    return product_row_ns(instruction);
  }
  double elements = 0;
  if (instruction.kernel == "fused") {
    elements = static_cast<double>(ints[0]) * static_cast<double>(ints[2]);
  }
  for (const auto& list : {instruction.inputs, instruction.outputs}) {
    for (const int id : list) {
      const ValueSpec& value = program.values[id];
      if (value.space.kind != SpaceKind::kNone) elements += static_cast<double>(value.size);
    }
  }
  return elements / kElementsPerNs;
}

class LayoutBuilder {
 public:
  LayoutBuilder(const Executable& executable, bool keep)
      : exe_(executable), program_(executable.program), keep_(keep) {}

  Layout build() {
    const size_t count = program_.values.size();
    layout_.first.assign(count, 0);
    layout_.last.assign(count, -1);
    layout_.local.assign(count, -1);
    for (const ValueSpec& value : program_.values) layout_.used.push_back(value.space);
    layout_.segments.resize(program_.segments.size());
    shared_.assign(count, false);
    keep_saved();
    for (size_t s = 0; s < program_.segments.size(); ++s) note_segment(static_cast<int>(s));
    for (size_t s = 0; s < program_.segments.size(); ++s) find_locals(static_cast<int>(s));
    finish_lifetimes();
    share_rows(exe_, keep_ && !program_.backward, &layout_);
    return std::move(layout_);
  }

 private:
  void keep_saved() {
    if (!keep_ || program_.backward) return;
    for (const int id : program_.saved) shared_[exe_.roots[id].value] = true;
  }

  void note_segment(int s) {
    const Segment& segment = program_.segments[s];
    SegmentLayout& out = layout_.segments[s];
    const bool global = segment.kind == SegmentKind::kGlobal;
    for (const Instruction& instruction : segment.instructions) {
      const bool rides =
          has_edges(segment.space) && instruction.space.kind == SpaceKind::kEdge && !global;
      out.has_edges = out.has_edges || rides;
      (rides ? out.edge_ns : out.row_ns) += row_cost(program_, instruction);
      for (size_t i = 0; i < instruction.inputs.size(); ++i) {
        note_rows(instruction.inputs[i], rows_read(segment, instruction, i));
        note_use(s, instruction.inputs[i],
                 global || access_of(program_, instruction, i) == Access::kCross);
      }
      for (const int id : instruction.outputs) note_use(s, id, global);
    }
  }

  void note_use(int s, int id, bool cross) {
    const int root = exe_.roots[id].value;
    if (program_.values[root].role != Role::kArena) return;
    if (layout_.last[root] < 0) layout_.first[root] = s;
    if (layout_.last[root] >= 0 && layout_.last[root] != s) shared_[root] = true;
    layout_.last[root] = s;
    if (cross || program_.values[root].space.kind == SpaceKind::kNone || from_forward(root)) {
      shared_[root] = true;
    }
  }

  // Of the vertices, those whose rows an instruction reads.
  Space rows_read(const Segment& segment, const Instruction& instruction, size_t input) const {
    const bool parents = instruction.tables[input].kind == TableKind::kParent;
    if (parents && segment.space.kind == SpaceKind::kInner) return segment.space;
    const bool own = access_of(program_, instruction, input) == Access::kAligned;
    return own && is_vertex_rows(instruction.space.kind) ? instruction.space
                                                         : Space{SpaceKind::kVertex, -1};
  }

  // Of what leaves and inner vertices write together, backward may read the rows of one alone, and
  // holds no others. To be called before note_use.
  void note_rows(int id, const Space& rows) {
    const int root = exe_.roots[id].value;
    if (!from_forward(root) || program_.values[root].space.kind != SpaceKind::kVertex) return;
    Space& used = layout_.used[static_cast<size_t>(root)];
    const bool more = layout_.last[root] >= 0 && used.kind != rows.kind;
    used = more ? Space{SpaceKind::kVertex, -1} : rows;
  }

  bool from_forward(int id) const {
    return exe_.forward && id < static_cast<int>(exe_.forward->program.values.size());
  }

  void find_locals(int s) {
    const Segment& segment = program_.segments[s];
    SegmentLayout& out = layout_.segments[s];
    for (size_t i = 0; i < segment.instructions.size(); ++i) {
      const Instruction& instruction = segment.instructions[i];
      for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
        for (const int id : *list) {
          const int root = exe_.roots[id].value;
          if (program_.values[root].role != Role::kArena || shared_[root]) continue;
          add_local(segment, out, root, static_cast<int>(i));
        }
      }
    }
    out.chunk = plan_chunk(out, exe_.options, 0);
  }

  void add_local(const Segment& segment, SegmentLayout& out, int root, int instruction) {
    int& slot = layout_.local[root];
    if (slot < 0) {
      slot = static_cast<int>(out.locals.size());
      const DynamicTensor& form = exe_.forms[root];
      LocalValue local;
      local.value = root;
      local.edge = has_edges(segment.space) && program_.values[root].space.kind == SpaceKind::kEdge;
      local.first = instruction;
      local.row_bytes = form.ld * item_size(form.dtype);
      out.locals.push_back(local);
    }
    out.locals[slot].last = instruction;
  }

  // A forward program's saved values outlive its last segment, local ones are not in the arena.
  void finish_lifetimes() {
    const int end = static_cast<int>(program_.segments.size());
    for (size_t id = 0; id < program_.values.size(); ++id) {
      if (layout_.local[id] >= 0) layout_.last[id] = -1;
    }
    if (!keep_ || program_.backward) return;
    for (const int id : program_.saved) {
      const int root = exe_.roots[id].value;
      if (program_.values[root].role == Role::kArena) layout_.last[root] = end;
    }
  }

  const Executable& exe_;
  const Program& program_;
  const bool keep_;
  Layout layout_;
  std::vector<bool> shared_;  // [value] read by other rows, by other segments or by backward
};

void compile_groups(Program& program) {
  if (program.dtype != DType::kFloat32 || !can_compile_groups()) return;
  for (Segment& segment : program.segments) {
    for (Instruction& instruction : segment.instructions) {
      if (instruction.kernel != "fused") continue;
      const int64_t width = instruction.ints[0];
      GroupSpec spec{instruction.ints.data(),
                     instruction.floats.data(),
                     static_cast<int>(instruction.floats.size()),
                     static_cast<int>(instruction.outputs.size()),
                     {}};
      for (const int id : instruction.inputs) {
        spec.narrow.push_back(program.values[static_cast<size_t>(id)].size != width);
      }
      instruction.code = compile_group(spec);
    }
  }
}

void prepare_forms(Executable& exe) {
  const auto& values = exe.program.values;
  exe.forms.reserve(values.size());
  for (size_t id = 0; id < values.size(); ++id) {
    const ValueSpec& root = values[exe.roots[id].value];
    DynamicTensor form(values[id].size, values[id].dtype);
    if (root.space.kind == SpaceKind::kNone) {
      form.ld = 0;
    } else {
      form.ld = root.role == Role::kArena ? row_stride(root.size) : root.size;
    }
    exe.forms.push_back(form);
  }
}

void find_parent_lists(Executable& exe) {
  std::set<int> found;
  for (const Segment& segment : exe.program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      for (const TableSpec& table : instruction.tables) {
        if (lists_parents(table.kind)) found.insert(table.argument);
      }
    }
  }
  exe.parent_lists.assign(found.begin(), found.end());
}

bool has_leaves_apart(const Program& program) {
  const auto apart = [](const Space& space) {
    return space.kind == SpaceKind::kLeaf || space.kind == SpaceKind::kInner;
  };
  const auto any = [&](const auto& items) {
    return std::any_of(items.begin(), items.end(),
                       [&](const auto& item) { return apart(item.space); });
  };
  return any(program.values) || any(program.segments) ||
         std::any_of(program.segments.begin(), program.segments.end(),
                     [&](const Segment& segment) { return any(segment.instructions); }) ||
         std::any_of(program.uniques.begin(), program.uniques.end(),
                     [&](const UniqueSpec& unique) { return apart(unique.base); });
}

void prepare_externals(Executable& exe) {
  const auto& values = exe.program.values;
  const size_t own = exe.forward ? exe.forward->program.values.size() : 0;
  exe.array_counts.assign(3, 0);
  for (size_t id = own; id < values.size(); ++id) {
    const ValueSpec& value = values[id];
    const int list = value.role == Role::kParam    ? 0
                     : value.role == Role::kInput  ? 1
                     : value.role == Role::kOutput ? 2
                                                   : -1;
    if (list >= 0) exe.array_counts[list] = std::max(exe.array_counts[list], value.index + 1);
  }
  if (!exe.forward) {
    for (const UniqueSpec& unique : exe.program.uniques) {
      for (const int input : unique.inputs) {
        exe.array_counts[1] = std::max(exe.array_counts[1], input + 1);
      }
    }
  }
  const auto slots = static_cast<int64_t>(values.size());
  exe.constants =
      std::make_shared<Block>(device_allocator(exe.program.device), (slots + 1) * kAlignment);
  for (size_t id = 0; id < values.size(); ++id) {
    std::byte* slot = exe.constants->data() + static_cast<int64_t>(id) * kAlignment;
    if (exe.program.dtype == DType::kFloat64) {
      *reinterpret_cast<double*>(slot) = values[id].constant;
    } else {
      *reinterpret_cast<float*>(slot) = static_cast<float>(values[id].constant);
    }
  }
}

}  // namespace

ExecutionOptions execution_options() {
  std::lock_guard<std::mutex> lock(options_mutex);
  return current_options;
}

void set_execution_options(const ExecutionOptions& options) {
  CAVS_CHECK(
      options.chunk_rows >= 1 && options.chunk_rows <= kMostChunkRows && options.chunk_bytes >= 0,
      ErrorKind::kValue, "[runtime] expected chunks of 1..", kMostChunkRows,
      " rows and 0 or more bytes, got ", options.chunk_rows, " and ", options.chunk_bytes,
      "; choose chunks within that");
  for (const double ns : {options.min_parallel_ns, options.min_team_ns, options.min_split_ns}) {
    CAVS_CHECK(!std::isnan(ns), ErrorKind::kValue,
               "[runtime] expected numbers of nanoseconds, got nan; give numbers");
  }
  std::lock_guard<std::mutex> lock(options_mutex);
  current_options = options;
}

void check_schedule(const Executable& exe, const Schedule& schedule) {
  CAVS_CHECK(!exe.leaves_first || schedule.num_leaves >= 0, ErrorKind::kValue,
             "[runtime] expected a schedule with all leaves first, got another; compile without "
             "specialize_leaves for this policy");
}

double product_row_ns(const Instruction& instruction) {
  constexpr double kFlopsPerNs = 80;
  const auto& ints = instruction.ints;
  return 2.0 * static_cast<double>(ints[2]) * static_cast<double>(ints[3]) *
         static_cast<double>(ints[4]) / kFlopsPerNs;
}

bool worth_splitting(const Executable& exe, const Instruction& instruction, int64_t rows) {
  // Lines of a result travel as fast as the flag that a meeting waits for: some at a time.
  constexpr double kMeetings = 2.5, kBytesPerMeeting = 1000;
  const auto& ints = instruction.ints;
  const auto count = static_cast<double>(rows);
  const double bytes = count * static_cast<double>(ints[2]) * static_cast<double>(ints[4]) *
                       static_cast<double>(item_size(exe.program.dtype));
  const double slow = hand_over_ns() * (kMeetings + bytes / kBytesPerMeeting) / 1000;
  return count * product_row_ns(instruction) >= exe.options.min_split_ns * std::max(1.0, slow);
}

ChunkPlan plan_chunk(const SegmentLayout& segment, const ExecutionOptions& options,
                     int64_t max_arity) {
  for (int64_t rows = options.chunk_rows;; rows /= 2) {
    ChunkPlan chunk;
    chunk.rows = rows;
    chunk.edges = std::max(2 * rows, max_arity);
    std::vector<Lifetime> lifetimes;
    lifetimes.reserve(segment.locals.size());
    for (const LocalValue& local : segment.locals) {
      const int64_t count = local.edge ? chunk.edges : chunk.rows;
      lifetimes.push_back({count * local.row_bytes, local.first, local.last, -1});
    }
    MemoryPlan plan = plan_memory(lifetimes);
    chunk.offsets = std::move(plan.offsets);
    chunk.bytes = plan.total;
    if (chunk.bytes <= options.chunk_bytes || rows / 2 < kFewestChunkRows) return chunk;
  }
}

std::shared_ptr<const Executable> make_executable(Program program,
                                                  std::shared_ptr<const Executable> forward) {
  auto exe = std::make_shared<Executable>();
  exe->program = std::move(program);
  exe->program.backward = forward != nullptr;
  if (forward) {
    exe->program.forward = std::shared_ptr<const Program>(forward, &forward->program);
  }
  exe->forward = std::move(forward);
  exe->options = execution_options();
  resolve_and_validate(exe->program);
  if (exe->options.compile_groups) compile_groups(exe->program);
  exe->roots = resolve_views(exe->program);
  prepare_forms(*exe);
  prepare_externals(*exe);
  exe->leaves_first = has_leaves_apart(exe->program);
  find_parent_lists(*exe);
  exe->weights = find_weights(exe->program);
  exe->state_writes = find_state_writes(exe->program, exe->roots);
  exe->packed = std::make_shared<WeightStore>(exe->weights.uses.size());
  exe->kept = LayoutBuilder(*exe, true).build();
  exe->dropped = exe->program.backward ? exe->kept : LayoutBuilder(*exe, false).build();
  return exe;
}

}  // namespace cavs
