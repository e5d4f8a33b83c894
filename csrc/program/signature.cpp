// Operands and attributes that each kernel expects: kernels trust them and do not look again.
#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "program/access.h"
#include "program/group.h"
#include "program/validate.h"

namespace cavs {
namespace {

// One instruction, with short ways to say what it must look like.
struct Checker {
  const Program& program;
  const Instruction& instruction;

  [[noreturn]] void reject(const std::string& expected) const {
    std::string got;
    for (const int id : instruction.inputs) got += describe(id) + " ";
    got += "->";
    for (const int id : instruction.outputs) got += " " + describe(id);
    got += ", ints";
    for (size_t i = 0; i < instruction.ints.size() && i < 12; ++i) {
      got += " " + std::to_string(instruction.ints[i]);
    }
    fail(ErrorKind::kValue, "[program] expected ", expected, " in '", instruction.kernel, "', got ",
         got, "; correct the instruction");
  }
  std::string describe(int id) const {
    const ValueSpec& value = program.values[id];
    return "'" + value.name + "' (" + dtype_name(value.dtype) + " x " + std::to_string(value.size) +
           ")";
  }
  void expect(bool condition, const char* expected) const {
    if (!condition) reject(expected);
  }
  const ValueSpec& in(size_t i) const { return program.values[instruction.inputs[i]]; }
  const ValueSpec& out(size_t i = 0) const { return program.values[instruction.outputs[i]]; }
  int64_t integer(size_t i) const { return instruction.ints[i]; }

  void operands(size_t inputs, size_t outputs = 1) const {
    expect(instruction.inputs.size() == inputs && instruction.outputs.size() == outputs,
           "another number of inputs or outputs");
  }
  void attributes(size_t ints, size_t floats = 0) const {
    expect(instruction.ints.size() >= ints && instruction.floats.size() >= floats,
           "more attributes");
  }
  // All operands have the program's dtype, save the input numbered `label`, which is one int32.
  void floats(size_t label = SIZE_MAX) const {
    for (size_t i = 0; i < instruction.inputs.size(); ++i) {
      const bool integer_operand = in(i).dtype == DType::kInt32;
      expect(integer_operand == (i == label) && (i != label || in(i).size == 1),
             "floating-point operands (and one int32 per row as label or id)");
    }
    for (const int id : instruction.outputs) {
      expect(program.values[id].dtype == program.dtype, "a floating-point output");
    }
  }
  void same_sizes() const {
    for (const int id : instruction.inputs) {
      expect(program.values[id].size == out().size, "inputs of the output's size");
    }
  }
};

// Whether the operand is the output itself, of a sum over rows that goes on from what stands there.
bool goes_on(const Checker& c, size_t operand) {
  return is_reduction(c.instruction) && operand < c.instruction.inputs.size() &&
         !c.instruction.outputs.empty() &&
         c.instruction.inputs[operand] == c.instruction.outputs[0];
}

// Two factors; a sum over rows may be given what it goes on from, and products that leave out rows
// the mask of these: ids (ints[5]), or one number of which zero leaves the row out.
void check_product(const Checker& c, bool masked) {
  const size_t inputs = c.instruction.inputs.size(), factors = masked ? 3 : 2;
  c.operands(inputs == factors + 1 && goes_on(c, factors) ? inputs : factors);
  c.attributes(masked ? 6 : 5);
  const bool by_id = masked && c.integer(5) != 0;
  c.floats(by_id ? 2 : SIZE_MAX);
  for (size_t i = 0; i < 2; ++i)
    c.expect(c.integer(i) == 0 || c.integer(i) == 1, "ta, tb of 0 or 1");
  const int64_t m = c.integer(2), k = c.integer(3), n = c.integer(4);
  constexpr int64_t kLimit = int64_t{1} << 31;
  c.expect(m >= 1 && k >= 0 && n >= 1 && m < kLimit && k < kLimit && n < kLimit,
           "m, n >= 1 and k >= 0");
  c.expect(c.in(0).size == m * k && c.in(1).size == k * n && c.out().size == m * n,
           "sizes m * k, k * n -> m * n");
}

void check_matmul(const Checker& c) {
  check_product(c, false);
  for (size_t i = 0; i < 2; ++i) {
    const bool shared = c.in(1 - i).space.kind == SpaceKind::kNone;
    c.expect(
        c.instruction.tables[i].kind == TableKind::kNone || !shared || c.integer(2 + 2 * i) > 1,
        "rows that stand one after the other, where one product takes all");
  }
}

// Rows that are read through tables are brought together, or are matrices that are multiplied one
// by one.
void check_matmul_masked(const Checker& c) {
  check_product(c, true);
  c.expect(c.in(2).size == 1 && c.in(2).space.kind != SpaceKind::kNone &&
               c.instruction.tables[2].kind == TableKind::kNone,
           "a mask of one element a row");
  const bool reduces = is_reduction(c.instruction);
  const bool rows_a = c.in(0).space.kind != SpaceKind::kNone;
  const bool rows_b = c.in(1).space.kind != SpaceKind::kNone;
  const int64_t m = c.integer(2), k = c.integer(3), n = c.integer(4);
  const bool brought = reduces ? k == 1 && rows_a && rows_b : m == 1 && rows_a && !rows_b;
  const bool one_by_one = !reduces && (m > 1 || rows_b) && (n > 1 || rows_a);
  for (size_t i = 0; i < 2; ++i) {
    c.expect(c.instruction.tables[i].kind == TableKind::kNone || brought || one_by_one,
             "tables on rows that are brought together, or multiplied one by one");
  }
}

void check_reduce_rows(const Checker& c) {
  const size_t inputs = c.instruction.inputs.size();
  c.operands(inputs == 2 && goes_on(c, 1) ? 2 : 1);
  c.floats();
  c.same_sizes();
}

bool is_csr(TableKind kind) {
  return kind == TableKind::kChildren || kind == TableKind::kChildRows ||
         kind == TableKind::kParents || kind == TableKind::kParentRows ||
         kind == TableKind::kGraphVertices || kind == TableKind::kUniqueRows ||
         kind == TableKind::kUniqueParents || kind == TableKind::kUniqueParentRows;
}

void check_fused(const Checker& c) {
  const Instruction& call = c.instruction;
  const char* expected =
      wrong_group(call.ints, call.inputs.size(), call.floats.size(), call.outputs.size());
  if (expected != nullptr) c.reject(expected);
  c.floats();
  const int64_t width = call.ints[0];
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    c.expect(c.out(i).size == width, "outputs of the group's width");
  }
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    c.expect(c.in(i).size == width || c.in(i).size == 1,
             "inputs of the group's width or of size 1");
    c.expect(!is_csr(call.tables[i].kind) || c.in(i).space.kind != SpaceKind::kNone,
             "rows where a table lists some");
  }
}

void check_elementwise(const Checker& c) {
  c.operands(1);
  c.floats();
  c.same_sizes();
}

void check_copy_columns(const Checker& c) {
  c.operands(1);
  c.attributes(6);
  c.floats();
  const int64_t lines = c.integer(0), width = c.integer(1);
  c.expect(lines >= 1 && width >= 1 && width <= c.in(0).size && width <= c.out().size,
           "lines of elements");
  for (const size_t i : {size_t{2}, size_t{4}}) {
    const int64_t size = i == 2 ? c.in(0).size : c.out().size;
    const int64_t column = c.integer(i), step = c.integer(i + 1);
    c.expect(column >= 0 && column <= size - width && step >= width &&
                 (lines == 1 || step <= (size - width - column) / (lines - 1)),
             "lines within the rows, one after the other");
  }
}

void check_segment(const Checker& c) {
  c.operands(1);
  c.floats();
  c.same_sizes();
  c.expect(is_csr(c.instruction.tables[0].kind), "a table of row lists");
}

void check_segment_softmax(const Checker& c) {
  c.operands(1);
  c.floats();
  c.same_sizes();
  c.expect(c.instruction.tables[0].kind == TableKind::kSiblings, "the table 'siblings'");
}

void check_slots_to_edges(const Checker& c) {
  c.operands(std::max<size_t>(1, c.instruction.inputs.size()));
  c.floats();
  c.same_sizes();
  for (const TableSpec& table : c.instruction.tables) {
    c.expect(table.kind == TableKind::kParent, "the table 'parent' on every input");
  }
}

void check_axis(const Checker& c, bool reduces, size_t inputs = 1) {
  c.operands(inputs);
  c.attributes(2);
  c.floats();
  const int64_t outer = c.integer(0), length = c.integer(1);
  c.expect(outer >= 1 && length >= 1 && c.in(0).size % length == 0 &&
               c.in(0).size / length == outer && c.out().size == (reduces ? outer : c.in(0).size),
           "sizes outer * len");
}

void check_one_hot_max(const Checker& c) {
  check_axis(c, false, 2);
  c.same_sizes();
}

void check_logsumexp_grad(const Checker& c) {
  c.operands(3);
  c.attributes(2);
  c.floats();
  const int64_t outer = c.integer(0), length = c.integer(1);
  c.expect(outer >= 1 && length >= 1 && c.in(0).size == outer && c.in(1).size == outer &&
               c.in(2).size == c.out().size && c.out().size % length == 0 &&
               c.out().size / length == outer,
           "a cotangent and a result of size outer, sizes outer * len");
}

void check_cross_entropy(const Checker& c) {
  c.operands(2);
  c.floats(1);
  c.expect(c.out().size == 1, "an output of size 1");
}

void check_cross_entropy_grad(const Checker& c) {
  c.operands(3);
  c.floats(2);
  c.expect(c.in(0).size == 1 && c.in(1).size == c.out().size, "dloss of size 1, output as logits");
}

void check_embedding(const Checker& c) {
  c.operands(2);
  c.attributes(2);
  c.floats(1);
  const int64_t num = c.integer(0), width = c.integer(1);
  c.expect(num >= 1 && width >= 1 && c.in(0).size % width == 0 && c.in(0).size / width == num &&
               c.in(0).space.kind == SpaceKind::kNone && c.out().size == width,
           "a weight of num * d elements without rows, and rows of d");
}

void check_concat(const Checker& c) {
  c.operands(std::max<size_t>(1, c.instruction.inputs.size()));
  c.floats();
  int64_t size = 0;
  for (size_t i = 0; i < c.instruction.inputs.size(); ++i) size += c.in(i).size;
  c.expect(size == c.out().size, "an output as wide as the inputs together");
}

void check_shapes(const Checker& c, bool sums) {
  c.operands(1);
  c.attributes(1);
  c.floats();
  const int64_t rank = c.integer(0);
  c.expect(rank >= 0 && rank <= 8, "a rank of 0..8");
  c.attributes(static_cast<size_t>(1 + 2 * rank));
  int64_t in_size = 1, out_size = 1;
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t in = c.integer(static_cast<size_t>(1 + i));
    const int64_t out = c.integer(static_cast<size_t>(1 + rank + i));
    c.expect(in >= 1 && out >= 1 && (in == out || (sums ? out : in) == 1),
             "dims that are equal or 1");
    c.expect(in <= c.in(0).size / in_size && out <= c.out().size / out_size,
             "dims that multiply to the sizes");
    in_size *= in;
    out_size *= out;
  }
  c.expect(in_size == c.in(0).size && out_size == c.out().size, "dims that multiply to the sizes");
}

// A probability of zeros, as the kernels of dropout take it.
void check_rate(const Checker& c) {
  const double rate = c.instruction.floats[0];
  c.expect(rate >= 0 && rate <= 1, "a rate of 0..1");
}

// The kernel reads the graph and local index of its rows from the tables of the space that it
// names.
void check_random(const Checker& c, int operands, int floats) {
  c.operands(operands);
  c.attributes(2, floats);
  c.floats();
  if (operands > 0) c.same_sizes();
  if (floats > 0) check_rate(c);
  const SpaceKind kind = c.instruction.space.kind;
  const int64_t space = c.integer(1);
  c.expect((space == 0 && is_vertex_rows(kind)) || (space == 1 && kind == SpaceKind::kEdge) ||
               (space == 2 && kind == SpaceKind::kGraph),
           "the number of the driving space: 0 vertex, 1 edge, 2 graph");
}

// Values, and one id per row or several, which the masks are drawn by.
void check_dropout_by_id(const Checker& c) {
  const size_t inputs = c.instruction.inputs.size();
  c.expect(inputs >= 2, "values and their ids");
  c.operands(inputs);
  c.attributes(1, 1);
  check_rate(c);
  c.expect(c.in(0).dtype == c.program.dtype && c.out().dtype == c.program.dtype &&
               c.in(0).size == c.out().size,
           "floating-point values, and as many");
  for (size_t i = 1; i < inputs; ++i) {
    c.expect(c.in(i).dtype == DType::kInt32 && c.in(i).size == 1, "one int32 per row as id");
  }
}

void check_load(const Checker& c) {
  c.operands(1);
  c.attributes(1);
  c.same_sizes();
  const bool integer = c.integer(0) != 0;
  c.expect(c.in(0).dtype == c.out().dtype && integer == (c.out().dtype == DType::kInt32),
           "equal dtypes, and is_int as they are");
}

void check_source(const Checker& c, TableKind table, DType dtype) {
  c.operands(0);
  c.expect(c.out().size == 1 && c.out().dtype == dtype, "one element per row of the right dtype");
  c.expect(c.instruction.tables.size() == 1 && c.instruction.tables[0].kind == table, "its table");
}

void check_fill(const Checker& c) {
  c.operands(0);
  c.attributes(0, 1);
  c.floats();
}

using Check = void (*)(const Checker&);

const std::map<std::string, Check>& checks() {
  static const std::map<std::string, Check> table = {
      {"matmul", check_matmul},
      {"matmul_reduce", check_matmul},
      {"matmul_masked", check_matmul_masked},
      {"matmul_reduce_masked", check_matmul_masked},
      {"reduce_rows", check_reduce_rows},
      {"fused", check_fused},
      {"take", check_elementwise},
      {"copy", check_elementwise},
      {"copy_columns", check_copy_columns},
      {"segment_sum", check_segment},
      {"segment_max", check_segment},
      {"segment_logsumexp", check_segment},
      {"segment_softmax", check_segment_softmax},
      {"slots_to_edges", check_slots_to_edges},
      {"row_sum", [](const Checker& c) { check_axis(c, true); }},
      {"row_max", [](const Checker& c) { check_axis(c, true); }},
      {"logsumexp", [](const Checker& c) { check_axis(c, true); }},
      {"logsumexp_grad", check_logsumexp_grad},
      {"one_hot_max", check_one_hot_max},
      {"softmax", [](const Checker& c) { check_axis(c, false); }},
      {"log_softmax", [](const Checker& c) { check_axis(c, false); }},
      {"cross_entropy", check_cross_entropy},
      {"cross_entropy_grad", check_cross_entropy_grad},
      {"embedding", check_embedding},
      {"concat", check_concat},
      {"broadcast", [](const Checker& c) { check_shapes(c, false); }},
      {"sum_to", [](const Checker& c) { check_shapes(c, true); }},
      {"dropout", [](const Checker& c) { check_random(c, 1, 1); }},
      {"dropout_by_id", check_dropout_by_id},
      {"uniform", [](const Checker& c) { check_random(c, 0, 0); }},
      {"load", check_load},
      {"store", check_elementwise},
      {"unique_ids",
       [](const Checker& c) { check_source(c, TableKind::kUniqueIds, DType::kInt32); }},
      {"num_children",
       [](const Checker& c) { check_source(c, TableKind::kChildren, c.program.dtype); }},
      {"present",
       [](const Checker& c) {
         c.operands(1);
         c.floats(0);
         c.expect(c.out().size == 1, "an output of size 1");
       }},
      {"fill", check_fill},
  };
  return table;
}

// Kernels that read an operand through an index; all others read rows as they stand.
bool reads_tables(const std::string& kernel) {
  static const std::set<std::string> readers = {"matmul_masked",
                                                "matmul_reduce_masked",
                                                "fused",
                                                "take",
                                                "segment_sum",
                                                "segment_max",
                                                "segment_logsumexp",
                                                "segment_softmax",
                                                "slots_to_edges",
                                                "load",
                                                "store",
                                                "matmul",
                                                "unique_ids",
                                                "num_children",
                                                "copy_columns"};
  return readers.count(kernel) > 0 || checks().count(kernel) == 0;
}

// Kernels that take the rows of lists together.
bool reads_lists(const Instruction& instruction) {
  static const std::set<std::string> readers = {"segment_sum", "segment_max", "segment_logsumexp",
                                                "fused"};
  return readers.count(instruction.kernel) > 0 || instruction.inputs.empty();
}

}  // namespace

void check_signature(const Program& program, const Instruction& instruction) {
  const Checker checker{program, instruction};
  for (size_t i = 0; i < instruction.tables.size(); ++i) {
    const TableKind kind = instruction.tables[i].kind;
    checker.expect(kind == TableKind::kNone || reads_tables(instruction.kernel),
                   "operands without tables");
    checker.expect(!is_csr(kind) || reads_lists(instruction),
                   "tables with one row per row (no row lists)");
    checker.expect(kind != TableKind::kSiblings || instruction.kernel == "segment_softmax",
                   "tables of rows (no 'siblings')");
  }
  const auto check = checks().find(instruction.kernel);
  if (check != checks().end()) check->second(checker);
}

}  // namespace cavs
