// What must hold of the kernels of attention over children, and their cost.
#include "program/attention_check.h"

#include "base/error.h"

namespace cavs {
namespace {

using Check = InstructionCheck;

constexpr int64_t kMost = 1 << 24;
constexpr int64_t kNumbers = 1 << 24;  // how many different ones are drawn

// The operands from `first` on: queries, keys, values, position scores, biases.
void check_operands(const Check& c, size_t first) {
  const AttentionSizes it = sizes_of_attention(c.instruction);
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
  c.expect(c.in(q).size == it.heads * it.size && c.in(k).size == it.heads * it.size &&
               c.in(v).size == it.heads * it.values,
           "queries and keys of heads * size, values of heads * values");
  c.expect(has_edges(c.instruction.space) && c.has_rows(q) && c.table(q) == TableKind::kNone,
           "queries of vertices");
  c.expect(c.has_rows(k) && c.in(k).space == c.in(v).space && c.table(k) == TableKind::kChildRows &&
               c.table(v) == TableKind::kChildRows && tables[k].members == tables[v].members,
           "keys and values of children");
  if (it.positions > 0) {
    c.expect(
        c.in(position).size == it.heads * it.positions && c.table(position) == TableKind::kNone,
        "position scores of heads * positions");
  }
  if (it.biases > 0) {
    c.expect(c.in(bias).size == it.biases && c.has_rows(bias) &&
                 c.table(bias) == TableKind::kChildren && tables[bias].members == tables[k].members,
             "biases of the edges to the children");
  }
}

void check_output(const Check& c, size_t i, const Space& space, int64_t size) {
  c.expect(i < c.instruction.outputs.size(), "an output for each gradient");
  c.expect(c.out(i).space == space && c.out(i).size == size, "outputs of the right rows");
}

}  // namespace

bool is_attention(const Instruction& instruction) {
  const Kernel& kernel = *instruction.kernel;
  return kernel.check == check_attention || kernel.check == check_attention_grad;
}

AttentionSizes sizes_of_attention(const Instruction& instruction) {
  return AttentionSizes(std::get<ShapeAttributes>(instruction.attributes));
}

int edges_of_attention(const Program& program, const Instruction& instruction) {
  return edge_list_of(program, instruction.tables[key_of(instruction)].members);
}

void check_places(const Instruction& instruction, int64_t most) {
  const int64_t positions = sizes_of_attention(instruction).positions;
  CAVS_CHECK(positions == 0 || most <= positions, ErrorKind::kValue, "[runtime] expected at most ",
             positions, " children of a vertex, as many as position scores have columns, got ",
             most, "; give them more columns");
}

double flops_of_attention(const Program&, const Instruction& instruction) {
  const AttentionSizes it = sizes_of_attention(instruction);
  const bool gradient = it.query || it.children || it.bias;
  const double products = gradient ? 2.5 : 1;
  return static_cast<double>(it.heads) *
         (products * 2 * static_cast<double>(it.size + it.values) + 15);
}

void check_attention(const Check& c) {
  const AttentionSizes it = sizes_of_attention(c.instruction);
  check_operands(c, 0);
  c.expect(c.instruction.outputs.size() == 1 && !it.query && !it.children && !it.bias,
           "one output, and no gradients");
  check_output(c, 0, c.instruction.space, it.heads * (it.values + 1));
}

void check_attention_grad(const Check& c) {
  const AttentionSizes it = sizes_of_attention(c.instruction);
  check_operands(c, 2);
  c.expect(c.in(0).size == it.heads * it.values && c.in(1).size == it.heads * (it.values + 1) &&
               c.has_rows(1) && c.table(0) == TableKind::kNone && c.table(1) == TableKind::kNone,
           "the cotangent of the means, and the result");
  size_t outputs = 0;
  if (it.query) {
    check_output(c, outputs++, c.instruction.space, it.heads * (it.size + it.positions));
  }
  if (it.children) check_output(c, outputs++, c.in(3).space, it.heads * (it.size + it.values));
  if (it.bias) {
    c.expect(it.biases > 0, "a bias that has a gradient");
    check_output(c, outputs++, c.in(c.inputs() - 1).space, it.biases);
  }
  c.expect(outputs >= 1 && outputs == c.instruction.outputs.size(), "an output for each gradient");
}

}  // namespace cavs
