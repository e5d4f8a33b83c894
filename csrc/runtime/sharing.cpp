// Lets values take over rows of other values that are read for the last time.
#include "runtime/sharing.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/backend.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

// Shorter rows stand without padding, and a kernel may write a vector past the end of a row.
constexpr int64_t kShortestRow = 16;

// How the last step of a value's life uses it.
struct End {
  int segment = -1;
  int instruction = -1;  // the last
  bool own_rows = true;  // a thread reads rows of its chunk alone
  bool direct = true;    // the last instruction reads row r for its row r
};

class Sharing {
 public:
  Sharing(const Executable& exe, bool groups, Layout* layout)
      : exe_(exe),
        program_(exe.program),
        groups_(groups),
        layout_(*layout),
        num_forward_(static_cast<int>(exe.first_value())),
        ends_(program_.values.size()),
        begun_(program_.values.size(), false),
        taken_(program_.values.size(), false) {}

  void run() {
    place_alone();
    if (groups_) group_saved();
    hold_for_all();
    note_ends();
    for (size_t s = 0; s < program_.segments.size(); ++s) give_rows(static_cast<int>(s));
  }

 private:
  void place_alone() {
    const int count = static_cast<int>(program_.values.size());
    for (int id = 0; id < count; ++id) {
      layout_.places.push_back(id < num_forward_ ? exe_.forward->kept.places[id]
                                                 : RowPlace{id, 0, exe_.forms[id].ld, true});
    }
    layout_.held_last = layout_.last;
  }

  bool in_arena(int id) const {
    return program_.values[id].role == Role::kArena && layout_.last[id] >= layout_.first[id];
  }

  bool long_rows(int id) const { return exe_.forms[id].ld >= kShortestRow; }

  void group_saved() {
    const int end = exe_.steps.count();
    for (const Segment& segment : program_.segments) {
      if (segment.kind != SegmentKind::kLevels) continue;
      for (const Instruction& instruction : segment.instructions) {
        if (group_of(instruction) == nullptr) continue;
        std::vector<int> members;
        for (const int id : instruction.outputs) {
          const bool saved = in_arena(id) && layout_.last[id] == end;
          if (saved && long_rows(id)) members.push_back(id);
        }
        place_group(members);
      }
    }
  }

  void place_group(const std::vector<int>& members) {
    if (members.size() < 2) return;
    int64_t ld = 0;
    for (const int id : members) {
      layout_.places[id].holder = members[0];
      layout_.places[id].column = ld * item_size(program_.dtype);
      layout_.places[id].whole = false;
      ld += exe_.forms[id].ld;
    }
    for (const int id : members) layout_.places[id].ld = ld;
  }

  // A holder has the rows in use and the lifetimes of all values in it.
  void hold_for_all() {
    for (int id = 0; id < static_cast<int>(program_.values.size()); ++id) {
      const int holder = layout_.places[id].holder;
      if (holder == id) continue;
      layout_.held_last[id] = -1;
      if (!in_arena(id)) continue;
      RowsInUse& used = layout_.used[holder];
      if (layout_.held_last[holder] < 0) used.parts.clear();
      for (const Space& rows : layout_.used[id].parts) {
        used.add(rows, program_.values[holder].space);
      }
      layout_.held_last[holder] = std::max(layout_.held_last[holder], layout_.last[id]);
    }
  }

  void note_ends() {
    for (size_t s = 0; s < program_.segments.size(); ++s) {
      const Segment& segment = program_.segments[s];
      const bool global = sums_rows(segment.kind);
      for (size_t i = 0; i < segment.instructions.size(); ++i) {
        const Instruction& instruction = segment.instructions[i];
        for (size_t k = 0; k < instruction.inputs.size(); ++k) {
          const Access access = access_of(program_, instruction, k);
          const bool own = access == Access::kAligned || access == Access::kChunk;
          note_end(static_cast<int>(s), static_cast<int>(i), instruction.inputs[k], !global && own,
                   instruction.tables[k].kind == TableKind::kNone);
        }
        for (const int id : instruction.outputs) {
          note_end(static_cast<int>(s), static_cast<int>(i), id, !global, false);
        }
      }
    }
  }

  void note_end(int s, int i, int id, bool own_rows, bool direct) {
    const int root = exe_.roots[id].value;
    if (!in_arena(root) || layout_.last[root] != exe_.steps.of(s, i)) return;
    End& end = ends_[root];
    const bool elsewhere = end.segment >= 0 && end.segment != s;  // segments that take turns
    end.own_rows = end.own_rows && own_rows && !elsewhere;
    end.segment = s;
    end.direct = direct && (end.direct || end.instruction < i);
    end.instruction = i;
  }

  void give_rows(int s) {
    const Segment& segment = program_.segments[s];
    if (sums_rows(segment.kind)) return;
    for (size_t i = 0; i < segment.instructions.size(); ++i) {
      const int step = exe_.steps.of(s, static_cast<int>(i));
      for (const int id : segment.instructions[i].outputs) {
        const int root = exe_.roots[id].value;
        const bool begins = root >= num_forward_ && in_arena(root) && layout_.first[root] == step &&
                            layout_.places[root].holder == root && layout_.places[root].whole;
        if (!begins || !long_rows(root) || begun_[root]) continue;
        begun_[root] = true;
        const int holder = find_rows({s, static_cast<int>(i), step}, root);
        if (holder >= 0) take(root, holder);
      }
    }
  }

  void take(int id, int holder) {
    taken_[holder] = true;
    layout_.places[id] = {holder, 0, layout_.places[holder].ld, true};
    layout_.held_last[id] = -1;
    layout_.held_last[holder] = std::max(layout_.held_last[holder], layout_.last[id]);
  }

  struct Place {
    int segment, instruction, step;
  };

  // Among the holders that are free from an instruction on and have room for rows of `id`, the one
  // with the shortest rows; -1 for none.
  int find_rows(const Place& at, int id) const {
    int best = -1;
    const int64_t ld = exe_.forms[id].ld;
    for (int holder = 0; holder < static_cast<int>(program_.values.size()); ++holder) {
      const RowPlace& place = layout_.places[holder];
      if (place.holder != holder || taken_[holder] || layout_.held_last[holder] != at.step)
        continue;
      // Much longer rows are left to longer values.
      if (place.ld < ld || 3 * place.ld > 4 * ld) continue;
      if (best >= 0 && layout_.places[best].ld <= place.ld) continue;
      if (program_.values[holder].role == Role::kArena && has_rows_of(holder, id) &&
          is_free(at, id, holder)) {
        best = holder;
      }
    }
    return best;
  }

  bool has_rows_of(int holder, int id) const {
    const std::vector<Space>& have = layout_.used[holder].parts;
    const Space& want = program_.values[id].space;
    return exe_.forms[holder].dtype == exe_.forms[id].dtype &&
           std::any_of(have.begin(), have.end(),
                       [&](const Space& part) { return is_part(program_, want, part); });
  }

  // Whether the instruction may write its elements of a row of `id` over those of the holder's row,
  // which it reads.
  bool may_overwrite(const Instruction& writer, int id, int holder) const {
    const Overwrites overwrites = exe_.backend->overwrites(program_, writer);
    if (overwrites != Overwrites::kElements) return overwrites == Overwrites::kRows;
    const int64_t size = program_.values[static_cast<size_t>(writer.outputs[0])].size;
    for (const int output : writer.outputs) {  // a part of `id`, maybe: of a concatenation
      const Root& root = exe_.roots[output];
      if (root.value == id && root.column > 0 && root.column < size) return false;
    }
    for (const int input : writer.inputs) {
      const Root& root = exe_.roots[input];
      const RowPlace& place = layout_.places[root.value];
      if (place.holder != holder) continue;
      const bool same =
          place.column == 0 && root.column == 0 && program_.values[input].size == size;
      if (!same) return false;
    }
    return true;
  }

  // Whether the instruction may write rows of `id` into all rows of a holder that it works on.
  bool is_free(const Place& at, int id, int holder) const {
    const Instruction& writer = program_.segments[at.segment].instructions[at.instruction];
    for (size_t held = 0; held < program_.values.size(); ++held) {
      if (layout_.places[held].holder != holder || !in_arena(static_cast<int>(held))) continue;
      if (layout_.last[held] < at.step) continue;
      const End& end = ends_[held];
      if (end.segment != at.segment) return false;
      const bool before = end.instruction < at.instruction;
      const bool here =
          end.instruction == at.instruction && end.direct && may_overwrite(writer, id, holder);
      if (!end.own_rows || !(before || here)) return false;
    }
    return true;
  }

  const Executable& exe_;
  const Program& program_;
  const bool groups_;
  Layout& layout_;
  const int num_forward_;
  std::vector<End> ends_;    // [value] for values that own memory
  std::vector<bool> begun_;  // [value] whether its first writer was looked at
  std::vector<bool> taken_;  // [value] whether its rows were taken over
};

}  // namespace

void share_rows(const Executable& exe, bool groups, Layout* layout) {
  Sharing(exe, groups, layout).run();
}

}  // namespace cavs
