// Random programs with a levels segment: any instructions that a vertex function may have there, in
// either direction.
#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tree_program.h"

namespace cavs_test {

// What a program is made of. All states and what is computed from them have rows of `width`.
struct LevelsForm {
  DType dtype = DType::kFloat32;
  int64_t width = 8;
  int instructions = 6;  // of the segment, besides those that write states
  bool sums = false;     // backward only: sums over the rows of each level
};

class RandomLevels {
 public:
  RandomLevels(const LevelsForm& form, unsigned seed) : form_(form), random_(seed) {
    b_.program.dtype = form.dtype;
  }

  // Parameters: U (width x width), V (width x 2 width), bias. Input: x of each vertex. Output: both
  // states of each vertex.
  Program forward() {
    declare_parameters();
    const int x_in = value("x", kVertex, form_.width, Role::kInput, 0);
    const int x = value("x own", kVertex, form_.width);
    states_ = {value("h", kVertex, form_.width), value("c", kVertex, form_.width)};
    const int outputs[] = {value("h", kVertex, form_.width, Role::kOutput, 0),
                           value("c", kVertex, form_.width, Role::kOutput, 1)};
    b_.segment(SegmentKind::kRows, kVertex);
    b_.call("load", {x_in}, {x}, {TableKind::kVertexOrder}, LoadAttributes{}, kVertex);
    b_.segment(SegmentKind::kLevels, kVertex);
    vertex_ = {x};
    for (int i = 0; i < form_.instructions; ++i) add_instruction();
    for (const int state : states_) write_state(state);
    b_.segment(SegmentKind::kRows, kVertex);
    for (size_t i = 0; i < states_.size(); ++i) {
      b_.call("store", {states_[i]}, {outputs[i]}, {TableKind::kVertexOrder}, {}, kVertex);
    }
    b_.program.saved = states_;
    return b_.program;
  }

  // Input: d h. Outputs: what is written for each vertex and each edge, and the sum over edges if
  // there is one.
  Program backward(const Program& forward) {
    b_.program = forward;
    b_.program.segments.clear();
    b_.program.saved.clear();
    backward_ = true;
    parameters_ = {0, 1, 2};
    const int dh_in = value("dh", kVertex, form_.width, Role::kInput, 0);
    const int dh = value("dh own", kVertex, form_.width);
    states_ = {value("dv", kVertex, form_.width)};
    edge_states_ = {value("de", kEdge, form_.width)};
    const int dv_out = value("dv", kVertex, form_.width, Role::kOutput, 0);
    const int de_out = value("de", kEdge, form_.width, Role::kOutput, 1);
    const int du =
        form_.sums ? value("dU", kNone, form_.width * form_.width, Role::kOutput, 2) : -1;
    const int db = form_.sums ? value("db", kNone, form_.width, Role::kOutput, 3) : -1;
    b_.segment(SegmentKind::kRows, kVertex);
    b_.call("load", {dh_in}, {dh}, {TableKind::kVertexOrder}, LoadAttributes{}, kVertex);
    if (form_.sums) {
      b_.segment(SegmentKind::kRows, kNone);
      b_.call("fill", {}, {du}, {}, FillAttributes{0.0}, kNone);
      b_.call("fill", {}, {db}, {}, FillAttributes{0.0}, kNone);
    }
    b_.segment(SegmentKind::kLevels, kVertex);
    vertex_ = {dh, forward.saved[0], forward.saved[1]};
    for (int i = 0; i < form_.instructions; ++i) add_instruction();
    write_state(states_[0]);
    vertex_.push_back(states_[0]);
    write_edge_state(edge_states_[0]);
    if (form_.sums) {
      b_.segment(SegmentKind::kSums, kVertex);
      b_.call("matmul_reduce", {states_[0], states_[0], du}, {du},
              {TableKind::kNone, TableKind::kNone, TableKind::kNone},
              MatmulAttributes{true, false, form_.width, 1, form_.width}, kVertex);
      b_.call("reduce_rows", {edge_states_[0], db}, {db}, {TableKind::kNone, TableKind::kNone}, {},
              kEdge);
    }
    b_.segment(SegmentKind::kRows, kVertex);
    b_.call("store", {states_[0]}, {dv_out}, {TableKind::kVertexOrder}, {}, kVertex);
    b_.call("store", {edge_states_[0]}, {de_out}, {TableKind::kEdgeOrder}, {}, kEdge);
    return b_.program;
  }

 private:
  int value(const std::string& name, const Space& space, int64_t size, Role role = Role::kArena,
            int index = -1, int base = -1, int64_t column = 0) {
    const int id = b_.value(name, space, size, role, index, base, column);
    b_.program.values.back().dtype = form_.dtype;
    return id;
  }

  void declare_parameters() {
    const int64_t w = form_.width;
    parameters_ = {value("U", kNone, w * w, Role::kParam, 0),
                   value("V", kNone, 2 * w * w, Role::kParam, 1),
                   value("bias", kNone, w, Role::kParam, 2)};
  }

  int pick(const std::vector<int>& values) {
    return values[static_cast<size_t>(random_() % values.size())];
  }
  bool chance(unsigned of) { return random_() % of == 0; }

  int made(const Space& space, int64_t size) {
    const int id = value("t", space, size);
    return id;
  }
  void note(const Space& space, int id) {
    (space.kind == SpaceKind::kEdge ? edge_ : vertex_).push_back(id);
  }

  // What other levels wrote, as a row for each vertex or edge.
  void bring_states() {
    if (backward_) {
      const int id = made(kVertex, form_.width);
      if (chance(2)) {
        b_.call(chance(3) ? "segment_max" : "segment_sum", {pick(edge_states_)}, {id},
                {TableKind::kParents}, {}, kVertex);
      } else {
        b_.call("segment_sum", {pick(states_)}, {id}, {TableKind::kParentRows}, {}, kVertex);
      }
      return note(kVertex, id);
    }
    const bool edges = chance(2);
    const Space space = edges ? kEdge : kVertex;
    const int id = made(space, form_.width);
    if (edges) {
      b_.call("take", {pick(states_)}, {id}, {TableKind::kChild}, {}, kEdge);
    } else {
      b_.call(chance(3) ? "segment_max" : "segment_sum", {pick(states_)}, {id},
              {TableKind::kChildRows}, {}, kVertex);
    }
    note(space, id);
  }

  void bring_own() {
    if (edge_.empty() || chance(2)) {
      const int id = made(kEdge, form_.width);
      b_.call("take", {pick(vertex_)}, {id}, {TableKind::kParent}, {}, kEdge);
      return note(kEdge, id);
    }
    const int id = made(kVertex, form_.width);
    b_.call("segment_sum", {pick(edge_)}, {id}, {TableKind::kChildren}, {}, kVertex);
    note(kVertex, id);
  }

  void multiply() {
    const bool edges = !edge_.empty() && chance(2);
    const Space space = edges ? kEdge : kVertex;
    const int64_t w = form_.width;
    const int in = pick(edges ? edge_ : vertex_);
    if (chance(2)) {
      const int id = made(space, w);
      b_.call("matmul", {in, parameters_[0]}, {id}, {}, MatmulAttributes{false, chance(2), 1, w, w},
              space);
      return note(space, id);
    }
    // Two values side by side.
    const int wide = made(space, 2 * w);
    b_.call("matmul", {in, parameters_[1]}, {wide}, {},
            MatmulAttributes{false, chance(2), 1, w, 2 * w}, space);
    for (const int64_t column : {int64_t{0}, w}) {
      note(space, value("half", space, w, Role::kView, -1, wide, column));
    }
  }

  struct Operand {
    int value;
    Read read;
    TableKind table;
  };
  Operand operand(const Space& space) {
    const bool edges = space.kind == SpaceKind::kEdge;
    const unsigned kind = static_cast<unsigned>(random_() % 6);
    if (kind == 0) return {parameters_[2], Read::kShared, TableKind::kNone};
    if (edges) {
      if (kind <= 2 && !backward_) return {pick(states_), Read::kIndexed, TableKind::kChild};
      if (kind <= 3 || edge_.empty()) return {pick(vertex_), Read::kIndexed, TableKind::kParent};
      return {pick(edge_), Read::kRow, TableKind::kNone};
    }
    if (kind == 1 && !edge_.empty()) return {pick(edge_), Read::kListSum, TableKind::kChildren};
    if (kind == 2) {
      return backward_ ? Operand{pick(edge_states_), Read::kListSum, TableKind::kParents}
                       : Operand{pick(states_), Read::kListSum, TableKind::kChildRows};
    }
    return {pick(vertex_), Read::kRow, TableKind::kNone};
  }

  // f(a + b) and (a + b) c, for a row at least.
  void fuse(const Space& space, const std::vector<int>& outputs) {
    Group group;
    group.width = form_.width;
    std::vector<Operand> operands = {operand(space), operand(space), operand(space)};
    std::vector<int> inputs;
    std::vector<TableKind> tables;
    for (const Operand& it : operands) {
      group.inputs.push_back({it.read, false});
      inputs.push_back(it.value);
      tables.push_back(it.table);
    }
    group.calls.push_back({scalar_opcode("add"), {0, 1, -1}});
    group.calls.push_back({scalar_opcode("tanh"), {3, -1, -1}});
    group.calls.push_back({scalar_opcode("mul"), {3, 2, -1}});
    group.calls.push_back({scalar_opcode("sigmoid"), {5, -1, -1}});
    group.outputs = outputs.size() == 1 ? std::vector<int>{4} : std::vector<int>{4, 6};
    b_.call("fused", inputs, outputs, tables, group, space);
  }

  void compute() {
    const Space space = !edge_.empty() && chance(2) ? kEdge : kVertex;
    std::vector<int> outputs = {made(space, form_.width)};
    if (chance(2)) outputs.push_back(made(space, form_.width));
    fuse(space, outputs);
    for (const int id : outputs) note(space, id);
  }

  void add_instruction() {
    switch (random_() % 5) {
      case 0:
        return bring_states();
      case 1:
        return bring_own();
      case 2:
        return multiply();
      default:
        return compute();
    }
  }

  // Of the last that was computed, so that little is computed for nothing.
  void write_state(int state) {
    const auto saved = vertex_;
    if (vertex_.size() > 2) vertex_.erase(vertex_.begin(), vertex_.end() - 2);
    fuse(kVertex, {state});
    vertex_ = saved;
  }
  void write_edge_state(int state) { fuse(kEdge, {state}); }

  const LevelsForm form_;
  std::mt19937 random_;
  Builder b_;
  bool backward_ = false;
  std::vector<int> parameters_, states_, edge_states_;
  std::vector<int> vertex_, edge_;  // values of the level at hand, written so far
};

}  // namespace cavs_test
