// Works out lifetimes: which values one segment confines, and how long all other values live.
#include "runtime/layout.h"

#include <algorithm>
#include <utility>

#include "program/access.h"
#include "runtime/backend.h"
#include "runtime/executable.h"

namespace cavs {

void RowsInUse::add(const Space& rows, const Space& whole) {
  if (std::find(parts.begin(), parts.end(), rows) != parts.end()) return;
  if (parts.empty() || rows.members >= 0) {
    parts.push_back(rows);
  } else {
    parts = {whole};
  }
}

namespace {

class LayoutBuilder {
 public:
  LayoutBuilder(const Executable& executable, bool keep, bool retain)
      : exe_(executable), program_(executable.program), keep_(keep), retain_(retain) {}

  Layout build() {
    const size_t count = program_.values.size();
    layout_.first.assign(count, 0);
    layout_.last.assign(count, -1);
    layout_.confined.assign(count, -1);
    for (const ValueSpec& value : program_.values) layout_.used.push_back({{value.space}});
    shared_.assign(count, false);
    segment_.assign(count, -1);
    keep_saved();
    for (size_t s = 0; s < program_.segments.size(); ++s) note_segment(static_cast<int>(s));
    find_confined();
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
    const bool global = sums_rows(segment.kind);
    for (size_t n = 0; n < segment.instructions.size(); ++n) {
      const Instruction& instruction = segment.instructions[n];
      const int i = static_cast<int>(n);
      for (size_t k = 0; k < instruction.inputs.size(); ++k) {
        note_rows(instruction.inputs[k], rows_read(segment, instruction, k));
        note_use(s, i, instruction.inputs[k],
                 global || access_of(program_, instruction, k) == Access::kCross);
      }
      for (const int id : instruction.outputs) note_use(s, i, id, global);
    }
  }

  void note_use(int s, int i, int id, bool cross) {
    const int root = exe_.roots[id].value;
    if (program_.values[root].role != Role::kArena) return;
    const int step = exe_.steps.of(s, i);
    if (layout_.last[root] < 0) {
      layout_.first[root] = step;
      segment_[root] = s;
    }
    if (segment_[root] != s) shared_[root] = true;
    layout_.last[root] = step;
    if (cross || program_.values[root].space.kind == SpaceKind::kNone || from_forward(root)) {
      shared_[root] = true;
    }
  }

  // The vertices whose rows an instruction reads.
  Space rows_read(const Segment& segment, const Instruction& instruction, size_t input) const {
    const bool parents = instruction.tables[input].kind == TableKind::kParent;
    if (parents && segment.space.kind == SpaceKind::kInner) return segment.space;
    const bool own = access_of(program_, instruction, input) == Access::kAligned;
    if (own && is_vertex_rows(instruction.space.kind)) return instruction.space;
    const int root = exe_.roots[instruction.inputs[input]].value;
    return {SpaceKind::kVertex, -1, program_.values[static_cast<size_t>(root)].space.members};
  }

  // Leaves and inner vertices, and several types, may write one value together. If backward reads
  // the rows of only some of these, only these rows are kept. To be called before note_use.
  void note_rows(int id, const Space& rows) {
    const int root = exe_.roots[id].value;
    if (!from_forward(root) || program_.values[root].space.kind != SpaceKind::kVertex) return;
    RowsInUse& used = layout_.used[static_cast<size_t>(root)];
    if (layout_.last[root] < 0) used.parts.clear();
    used.add(rows, program_.values[static_cast<size_t>(root)].space);
  }

  bool from_forward(int id) const { return static_cast<size_t>(id) < exe_.first_value(); }

  void find_confined() {
    for (size_t id = 0; id < program_.values.size(); ++id) {
      if (segment_[id] >= 0 && !shared_[id]) layout_.confined[id] = segment_[id];
    }
  }

  // A forward program's saved values outlive its last segment; values that the backend keeps for a
  // chunk of rows are not in the arena.
  void finish_lifetimes() {
    for (size_t id = 0; id < program_.values.size(); ++id) {
      const bool elsewhere = layout_.confined[id] >= 0 && exe_.backend->keeps_confined_values();
      if (elsewhere) layout_.last[id] = -1;
    }
    if (retain_) retain_saved();
    if (!keep_ || program_.backward) return;
    for (const int id : program_.saved) {
      const int root = exe_.roots[id].value;
      if (program_.values[root].role == Role::kArena) layout_.last[root] = exe_.steps.count();
    }
  }

  // Another backward program may read other values, and other rows of a value, than this one.
  void retain_saved() {
    const Layout& saved = exe_.forward->kept;
    for (size_t id = 0; id < saved.last.size(); ++id) {
      if (saved.last[id] != exe_.forward->steps.count()) continue;
      layout_.first[id] = 0;
      layout_.last[id] = exe_.steps.count();
      layout_.used[id] = saved.used[id];
    }
  }

  const Executable& exe_;
  const Program& program_;
  const bool keep_, retain_;
  Layout layout_;
  std::vector<int> segment_;  // [value] the first that uses it
  std::vector<bool> shared_;  // [value] read by other rows, by other segments or by backward
};

}  // namespace

ProgramSteps::ProgramSteps(const Program& program, bool by_instruction) {
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const Segment& segment = program.segments[s];
    const bool many = by_instruction && !by_levels(segment.kind);
    // Segments of types take turns, so values of all of them are alive together.
    if (program.num_types > 0 && taking_turns(program, s).first < s) {
      ranges_.push_back({count() - 1, false});
      continue;
    }
    ranges_.push_back({count(), many});
    segments_.insert(segments_.end(), many ? segment.instructions.size() : 1, static_cast<int>(s));
  }
}

Layout make_layout(const Executable& exe, bool keep) {
  return LayoutBuilder(exe, keep, false).build();
}

Layout make_retaining_layout(const Executable& exe) {
  return LayoutBuilder(exe, true, true).build();
}

}  // namespace cavs
