// What must hold of the kernels of attention over children, and their cost.
#include "program/attention_check.h"

#include "base/error.h"

namespace cavs {
namespace {

using Check = InstructionCheck;

constexpr int64_t kMost = 1 << 24;
constexpr int64_t kNumbers = 1 << 24;  // how many different ones are drawn

// Where a kernel finds the rows of vertices, of their children, and of the edges between them.
struct Reached {
  TableKind vertices, children, edges;
};
constexpr Reached kByVertices = {TableKind::kNone, TableKind::kChildRows, TableKind::kChildren};
constexpr Reached kByChildren = {TableKind::kParentRows, TableKind::kNone, TableKind::kParents};

// The operands from `first` on: queries, keys, values, position scores, biases.
void check_operands(const Check& c, size_t first, const Reached& reached) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  const auto some = [](int64_t n) { return n >= 1 && n <= kMost; };
  c.floats();
  c.expect(it.zeroed >= 0 && it.zeroed <= kNumbers, "dropout that zeroes numbers of 2^24");
  c.expect(some(it.heads) && some(it.size) && some(it.values) && it.positions >= 0 &&
               it.positions <= kMost && (it.biases == 0 || it.biases == 1 || it.biases == it.heads),
           "heads of one element or more, and no bias, one, or one a head");
  for (const int id : c.instruction.outputs) {
    for (const int input : c.instruction.inputs) c.expect(id != input, "outputs of its own");
  }
  const size_t position = first + 3, bias = position + (it.positions > 0 ? 1 : 0);
  c.expect(c.inputs() == bias + (it.biases > 0 ? 1 : 0), "an operand for all that scores add");
  const size_t q = first, k = first + 1, v = first + 2;
  const auto& tables = c.instruction.tables;
  const int edges = tables[reached.children == TableKind::kNone ? q : k].members;
  const auto along = [&](size_t i, TableKind kind) {
    return c.table(i) == kind && (kind == TableKind::kNone || tables[i].members == edges);
  };
  c.expect(c.in(q).size == it.heads * it.size && c.in(k).size == it.heads * it.size &&
               c.in(v).size == it.heads * it.values,
           "queries and keys of heads * size, values of heads * values");
  c.expect(is_vertex_rows(c.instruction.space.kind) && c.has_rows(q) && along(q, reached.vertices),
           "queries of vertices");
  c.expect(c.has_rows(k) && c.in(k).space == c.in(v).space && along(k, reached.children) &&
               along(v, reached.children),
           "keys and values of children");
  if (it.positions > 0) {
    c.expect(c.in(position).size == it.heads * it.positions && along(position, reached.vertices),
             "position scores of heads * positions");
  }
  if (it.biases > 0) {
    c.expect(c.in(bias).size == it.biases && c.has_rows(bias) && along(bias, reached.edges),
             "biases of the edges to the children");
  }
}

// And before them, of a gradient, the cotangent of the means and the result.
void check_gradient(const Check& c, const Reached& reached) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  check_operands(c, 2, reached);
  const auto& tables = c.instruction.tables;
  c.expect(c.in(0).size == it.heads * it.values && c.in(1).size == it.heads * (it.values + 1) &&
               c.has_rows(1) && c.table(0) == reached.vertices && c.table(1) == reached.vertices &&
               tables[0].members == tables[2].members && tables[1].members == tables[2].members,
           "the cotangent of the means, and the result");
}

void check_output(const Check& c, size_t i, const Space& space, int64_t size) {
  c.expect(i < c.instruction.outputs.size(), "an output for each gradient");
  c.expect(c.out(i).space == space && c.out(i).size == size, "outputs of the right rows");
}

void check_result(const Check& c) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  check_operands(c, 0, kByVertices);
  c.expect(c.instruction.outputs.size() == 1 && !it.query && !it.children && !it.bias,
           "one output, and no gradients");
  check_output(c, 0, c.instruction.space, it.heads * (it.values + 1));
}

void check_gradients(const Check& c, const Space& children) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  size_t outputs = 0;
  if (it.query) {
    check_output(c, outputs++, c.instruction.space, it.heads * (it.size + it.positions));
  }
  if (it.children) check_output(c, outputs++, children, it.heads * (it.size + it.values));
  if (it.bias) {
    c.expect(it.biases > 0, "a bias that has a gradient");
    check_output(c, outputs++, c.in(c.inputs() - 1).space, it.biases);
  }
  c.expect(outputs >= 1 && outputs == c.instruction.outputs.size(), "an output for each gradient");
}

void check_has_edges(const Check& c) {
  c.expect(has_edges(c.instruction.space), "rows of vertices that may have children");
}

}  // namespace

int edges_of_attention(const Program& program, const Instruction& instruction) {
  return edge_list_of(program, own_tables(instruction)[kEdgeChildren].members);
}

std::vector<TableSpec> own_tables(const Instruction& instruction) {
  const TableSpec& key = instruction.tables[key_of(instruction)];
  const bool by_children = key.kind == TableKind::kNone;
  const int members = by_children ? instruction.tables[0].members : key.members;
  std::vector<TableSpec> tables{{TableKind::kChildRows, 0, members}};
  if (sizes_of_attention(instruction).children) {
    tables.push_back({TableKind::kParents, 0, members});
    tables.push_back({TableKind::kParent, 0, members});
  }
  return tables;
}

void check_places(const Instruction& instruction, int64_t most) {
  const int64_t positions = sizes_of_attention(instruction).positions;
  CAVS_CHECK(positions == 0 || most <= positions, ErrorKind::kValue, "[runtime] expected at most ",
             positions, " children of a vertex, as many as position scores have columns, got ",
             most, "; give them more columns");
}

double flops_of_attention(const Program&, const Instruction& instruction) {
  const AttentionAttributes& it = sizes_of_attention(instruction);
  const int64_t products =
      it.size + it.values + (it.query ? it.size : 0) + (it.children ? it.size + it.values : 0);
  return static_cast<double>(it.heads * (2 * products + 15));
}

void check_attention(const Check& c) {
  check_has_edges(c);
  check_result(c);
}

void check_level_attention(const Check& c) {
  c.expect(sizes_of_attention(c.instruction).zeroed == 0, "no dropout");
  check_attention(c);
}

void check_attention_grad(const Check& c) {
  check_has_edges(c);
  check_gradient(c, kByVertices);
  check_gradients(c, c.in(3).space);
}

void check_level_attention_grad(const Check& c) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  c.expect(!it.children && it.zeroed == 0, "gradients of queries and biases, without dropout");
  check_attention_grad(c);
}

void check_level_attention_children(const Check& c) {
  const AttentionAttributes& it = sizes_of_attention(c.instruction);
  check_gradient(c, kByChildren);
  c.expect(it.children && !it.query && !it.bias && it.zeroed == 0,
           "the gradient of keys and values, without dropout");
  check_gradients(c, c.instruction.space);
}

}  // namespace cavs
