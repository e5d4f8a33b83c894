// The kernels' rows: the operands that each kernel needs, and its cost.
#include "program/kernels.h"

#include <tuple>

#include "base/error.h"
#include "program/access.h"
#include "program/attention_check.h"
#include "program/convolution_checks.h"
#include "program/instruction_check.h"
#include "program/line_checks.h"
#include "program/pool_checks.h"

namespace cavs {
namespace {

using Check = InstructionCheck;

// FLOPs of each element of the first input, or of the output

double size_of(const Program& program, int id) {
  return static_cast<double>(program.values[static_cast<size_t>(id)].size);
}

template <int Count>
double per_input(const Program& program, const Instruction& instruction) {
  return Count * size_of(program, instruction.inputs[0]);
}

template <int Count>
double per_output(const Program& program, const Instruction& instruction) {
  return Count * size_of(program, instruction.outputs[0]);
}

// Products

double flops_of_product(const Program&, const Instruction& instruction) {
  return product_flops(*product_of(instruction));
}

void check_product(const Check& c, const MatmulAttributes& product) {
  const auto [m, k, n] = std::tuple(product.m, product.k, product.n);
  constexpr int64_t kLimit = int64_t{1} << 31;
  c.expect(m >= 1 && k >= 0 && n >= 1 && m < kLimit && k < kLimit && n < kLimit,
           "m, n >= 1 and k >= 0");
  c.expect(c.in(0).size == m * k && c.in(1).size == k * n && c.out().size == m * n,
           "sizes m * k, k * n -> m * n");
}

void check_matmul(const Check& c) {
  const auto& product = c.attributes<MatmulAttributes>();
  c.floats();
  check_product(c, product);
  const int64_t lines[] = {product.m, product.n};
  for (size_t i = 0; i < 2; ++i) {
    c.expect(c.table(i) == TableKind::kNone || c.has_rows(1 - i) || lines[i] > 1,
             "rows that stand one after the other, where one product takes all");
  }
}

// The third operand is the mask: one id or one number for each row. Id -1 or number 0 leaves the
// row out. Rows that are read through tables are either brought together, or are matrices that are
// multiplied one by one.
void check_matmul_masked(const Check& c) {
  const auto& product = c.attributes<MaskedMatmulAttributes>();
  c.floats(product.by_id ? 2 : SIZE_MAX);
  check_product(c, product);
  c.expect(c.in(2).size == 1 && c.has_rows(2) && c.table(2) == TableKind::kNone,
           "a mask of one element a row");
  const bool rows_a = c.has_rows(0), rows_b = c.has_rows(1);
  const bool sums = sums_rows(c.instruction);
  const bool brought =
      sums ? product.k == 1 && rows_a && rows_b : product.m == 1 && rows_a && !rows_b;
  const bool one_by_one = !sums && (product.m > 1 || rows_b) && (product.n > 1 || rows_a);
  for (size_t i = 0; i < 2; ++i) {
    c.expect(c.table(i) == TableKind::kNone || brought || one_by_one,
             "tables on rows that are brought together, or multiplied one by one");
  }
}

// Elementwise groups

double flops_of_group(const Program&, const Instruction& instruction) {
  const Group& group = *group_of(instruction);
  int64_t flops = 0;
  for (const ScalarCall& call : group.calls) flops += scalar_op_flops(call.op);
  return static_cast<double>(group.width) * static_cast<double>(flops);
}

bool reads_as_said(const Check& c, size_t i, Read read) {
  if (!c.has_rows(i)) return read == Read::kShared;
  if (c.table(i) == TableKind::kNone) return read == Read::kRow;
  return read == (is_list(c.table(i)) ? Read::kListSum : Read::kIndexed);
}

void check_fused(const Check& c) {
  const auto& group = c.attributes<Group>();
  if (const char* expected = wrong_group(group)) c.reject(expected);
  c.expect(
      group.inputs.size() == c.inputs() && group.outputs.size() == c.instruction.outputs.size(),
      "an operand for each input and output of the group");
  c.floats();
  for (size_t i = 0; i < group.outputs.size(); ++i) {
    c.expect(c.out(i).size == group.width, "outputs of the group's width");
  }
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    const GroupInput& input = group.inputs[i];
    c.expect(c.in(i).size == (input.narrow ? 1 : group.width),
             "inputs of the group's width or of size 1");
    c.expect(!is_list(c.table(i)) || c.has_rows(i), "rows where a table lists some");
    c.expect(reads_as_said(c, i, input.read), "inputs that are read as their tables say");
  }
}

// Rows that are moved

void check_move(const Check& c) {
  c.floats();
  c.same_sizes();
}

// The rows of one are those of the other, times a number of columns.
void check_columns(const Check& c, int64_t size, int64_t whole) {
  c.floats();
  c.expect(size >= 1 && whole >= size && whole % size == 0, "matrices of whole columns");
}

void check_child_columns(const Check& c) { check_columns(c, c.out().size, c.in(0).size); }
void check_child_columns_grad(const Check& c) { check_columns(c, c.in(0).size, c.out().size); }

void check_load(const Check& c) {
  c.same_sizes();
  const bool integers = c.attributes<LoadAttributes>().integers;
  c.expect(c.in(0).dtype == c.out().dtype && integers == (c.out().dtype == DType::kInt32),
           "equal dtypes, and integers as they are");
}

void check_copy_columns(const Check& c) {
  c.floats();
  const auto& it = c.attributes<ColumnsAttributes>();
  c.expect(it.lines >= 1 && it.width >= 1 && it.width <= c.in(0).size && it.width <= c.out().size,
           "lines of elements");
  const auto within = [&](int64_t size, int64_t column, int64_t step) {
    return column >= 0 && column <= size - it.width && step >= it.width &&
           (it.lines == 1 || step <= (size - it.width - column) / (it.lines - 1));
  };
  c.expect(within(c.in(0).size, it.source_column, it.source_step) &&
               within(c.out().size, it.target_column, it.target_step),
           "lines within the rows, one after the other");
}

void check_embedding(const Check& c) {
  c.floats(1);
  const auto& it = c.attributes<EmbeddingAttributes>();
  c.expect(it.count >= 1 && it.width >= 1 && c.in(0).size % it.width == 0 &&
               c.in(0).size / it.width == it.count && !c.has_rows(0) && c.out().size == it.width,
           "a weight of count * width elements without rows, and rows of that width");
}

void check_shapes(const Check& c, bool sums) {
  c.floats();
  const auto& it = c.attributes<ShapeAttributes>();
  c.expect(it.source.rank == it.target.rank && it.source.rank >= 0 && it.source.rank <= kMaxRank,
           "shapes of one rank of 0..8");
  int64_t in_size = 1, out_size = 1;
  for (int i = 0; i < it.source.rank; ++i) {
    const int64_t in = it.source.sizes[i], out = it.target.sizes[i];
    c.expect(in >= 1 && out >= 1 && (in == out || (sums ? out : in) == 1),
             "dims that are equal or 1");
    c.expect(in <= c.in(0).size / in_size && out <= c.out().size / out_size,
             "dims that multiply to the sizes");
    in_size *= in;
    out_size *= out;
  }
  c.expect(in_size == c.in(0).size && out_size == c.out().size, "dims that multiply to the sizes");
}

void check_broadcast(const Check& c) { check_shapes(c, false); }
void check_sum_to(const Check& c) { check_shapes(c, true); }

// Of labels

void check_cross_entropy(const Check& c) {
  c.floats(1);
  c.expect(c.out().size == 1, "an output of size 1");
}

void check_cross_entropy_grad(const Check& c) {
  c.floats(2);
  c.expect(c.in(0).size == 1 && c.in(1).size == c.out().size, "dloss of size 1, output as logits");
}

// Random numbers

// The kernels of dropout take the probability of zeros.
void check_rate(const Check& c) {
  const double rate = c.attributes<DropoutAttributes>().rate;
  c.expect(rate >= 0 && rate <= 1, "a rate of 0..1");
}

// The kernel reads the graph and local index of its rows from the tables for the kind of rows that
// its attributes name.
void check_sampled(const Check& c, SampledRows rows) {
  c.floats();
  const SpaceKind kind = c.instruction.space.kind;
  c.expect((rows == SampledRows::kVertex && is_vertex_rows(kind)) ||
               (rows == SampledRows::kEdge && kind == SpaceKind::kEdge) ||
               (rows == SampledRows::kGraph && kind == SpaceKind::kGraph) ||
               (rows == SampledRows::kBatch && kind == SpaceKind::kNone),
           "rows of vertices, edges or graphs, or none, as the attributes say");
}

void check_uniform(const Check& c) { check_sampled(c, c.attributes<UniformAttributes>().rows); }

void check_dropout(const Check& c) {
  check_rate(c);
  c.same_sizes();
  check_sampled(c, c.attributes<DropoutAttributes>().rows);
}

// The operands are values and one or more ids per row. The ids determine the masks.
void check_dropout_by_id(const Check& c) {
  check_rate(c);
  c.expect(c.in(0).dtype == c.program.dtype && c.out().dtype == c.program.dtype &&
               c.in(0).size == c.out().size,
           "floating-point values, and as many");
  for (size_t i = 1; i < c.inputs(); ++i) {
    c.expect(c.in(i).dtype == DType::kInt32 && c.in(i).size == 1, "one int32 per row as id");
  }
}

// Numbers of a row that need no operands

void check_source(const Check& c, DType dtype) {
  c.expect(c.out().size == 1 && c.out().dtype == dtype, "one element per row of the right dtype");
  c.expect(c.instruction.tables.size() == 1, "its table");
}

void check_unique_ids(const Check& c) { check_source(c, DType::kInt32); }
void check_num_children(const Check& c) { check_source(c, c.program.dtype); }

void check_present(const Check& c) {
  c.floats(0);
  c.expect(c.out().size == 1, "an output of size 1");
}

void check_fill(const Check& c) { c.floats(); }

constexpr InputCount kNone{0}, kOne{1}, kTwo{2}, kThree{3}, kAny{0, true}, kSome{1, true};
constexpr TableRule kStanding{}, kIndexed{true, false}, kLists{false, true}, kBoth{true, true};
constexpr TableRule kSiblings{false, false, TableKind::kSiblings};
constexpr TableRule kParent{false, false, TableKind::kParent};
constexpr TableRule kChildren{false, false, TableKind::kChildren};
constexpr TableRule kIds{false, false, TableKind::kUniqueIds};

}  // namespace

const std::vector<Kernel>& kernels() {
  using W = Writes;
  const auto none = NoAttributes();
  const auto axis = AxisAttributes();
  const auto product = MatmulAttributes();
  const auto heads = AttentionAttributes();
  const auto masked = MaskedMatmulAttributes();
  const auto conv = ConvolutionAttributes();
  // Never destroyed: programs point to rows, and may run while the process ends.
  static const auto* const table = new std::vector<Kernel>{
      // clang-format off
      {"argsort", kOne, kStanding, W::kRows, OrderAttributes(), nullptr, check_order},
      {"attention", {3, true}, kBoth, W::kGraphs, heads, flops_of_attention, check_attention},
      {"attention_grad", {5, true}, kBoth, W::kGraphs, heads, flops_of_attention, check_attention_grad},
      {"avg_pool", kOne, kStanding, W::kRows, PoolAttributes(), per_input<1>, check_pool},
      {"avg_unpool", kOne, kStanding, W::kRows, PoolAttributes(), per_output<1>, check_unpool},
      {"broadcast", kOne, kStanding, W::kRows, ShapeAttributes(), nullptr, check_broadcast},
      {"child_columns", kOne, kParent, W::kRows, none, nullptr, check_child_columns},
      {"child_columns_grad", kOne, kLists, W::kRows, none, nullptr, check_child_columns_grad},
      {"conv", kTwo, kStanding, W::kRows, conv, flops_of_convolution, check_conv},
      {"conv_input", kTwo, kStanding, W::kRows, conv, flops_of_convolution, check_conv_input},
      {"conv_weight", kTwo, kStanding, W::kRows, conv, flops_of_convolution, check_conv_weight},
      {"conv_weight_reduce", kTwo, kStanding, W::kSums, conv, flops_of_convolution, check_conv_weight},
      {"copy", kOne, kStanding, W::kRows, none, nullptr, check_move},
      {"copy_columns", kOne, kIndexed, W::kRows, ColumnsAttributes(), nullptr, check_copy_columns},
      {"cross_entropy", kTwo, kStanding, W::kRows, none, per_input<12>, check_cross_entropy},
      {"cross_entropy_grad", kThree, kStanding, W::kRows, none, per_output<14>, check_cross_entropy_grad},
      {"cumsum", kOne, kStanding, W::kRows, ScanAttributes(), per_input<1>, check_scan},
      {"dropout", kOne, kStanding, W::kRows, DropoutAttributes(), per_output<8>, check_dropout},
      {"dropout_by_id", {2, true}, kStanding, W::kRows, DropoutAttributes(), per_output<8>, check_dropout_by_id},
      {"embedding", kTwo, kStanding, W::kRows, EmbeddingAttributes(), nullptr, check_embedding},
      {"fill", kNone, kStanding, W::kRows, FillAttributes(), nullptr, check_fill},
      {"fused", kAny, kBoth, W::kRows, Group(), flops_of_group, check_fused},
      {"level_attention", {3, true}, kBoth, W::kRows, heads, flops_of_attention, check_level_attention},
      {"level_attention_children", {5, true}, kBoth, W::kRows, heads, flops_of_attention, check_level_attention_children},
      {"level_attention_grad", {5, true}, kBoth, W::kRows, heads, flops_of_attention, check_level_attention_grad},
      {"load", kOne, kIndexed, W::kRows, LoadAttributes(), nullptr, check_load},
      {"log_softmax", kOne, kStanding, W::kRows, axis, per_output<15>, check_along},
      {"logsumexp", kOne, kStanding, W::kRows, axis, per_input<12>, check_reduction},
      {"logsumexp_grad", kThree, kStanding, W::kRows, axis, per_output<15>, check_logsumexp_grad},
      {"matmul", kTwo, kIndexed, W::kRows, product, flops_of_product, check_matmul},
      {"matmul_masked", kThree, kIndexed, W::kRows, masked, flops_of_product, check_matmul_masked},
      {"matmul_reduce", kTwo, kStanding, W::kSums, product, flops_of_product, check_matmul},
      {"matmul_reduce_masked", kThree, kIndexed, W::kSums, masked, flops_of_product, check_matmul_masked},
      {"max_pool", kOne, kStanding, W::kRows, PoolAttributes(), per_input<1>, check_pool},
      {"max_pool_grad", kThree, kStanding, W::kRows, PoolAttributes(), per_output<3>, check_max_pool_grad},
      {"max_pool_tangent", kThree, kStanding, W::kRows, PoolAttributes(), per_input<3>, check_max_pool_tangent},
      {"max_rows", kOne, kStanding, W::kSums, none, per_input<1>, check_move},
      {"num_children", kNone, kChildren, W::kRows, none, nullptr, check_num_children},
      {"one_hot_max", kTwo, kStanding, W::kRows, axis, per_input<1>, check_one_hot_max},
      {"permute", kOne, kStanding, W::kRows, PermuteAttributes(), nullptr, check_permute},
      {"pick_elements", kTwo, kStanding, W::kRows, PickAttributes(), nullptr, check_pick},
      {"present", kOne, kStanding, W::kRows, none, nullptr, check_present},
      {"put_elements", kTwo, kStanding, W::kRows, PickAttributes(), per_input<1>, check_put},
      {"reduce_rows", kOne, kStanding, W::kSums, none, per_input<1>, check_move},
      {"row_max", kOne, kStanding, W::kRows, axis, per_input<1>, check_reduction},
      {"row_sum", kOne, kStanding, W::kRows, axis, per_input<1>, check_row_sum},
      {"segment_log_softmax", kOne, kSiblings, W::kRows, none, per_output<15>, check_move},
      {"segment_logsumexp", kOne, kLists, W::kRows, none, per_input<12>, check_move},
      {"segment_max", kOne, kLists, W::kRows, none, per_input<1>, check_move},
      {"segment_softmax", kOne, kSiblings, W::kRows, none, per_output<15>, check_move},
      {"segment_sum", kOne, kLists, W::kRows, none, per_input<1>, check_move},
      {"slots_to_edges", kSome, kParent, W::kRows, none, nullptr, check_move},
      {"softmax", kOne, kStanding, W::kRows, axis, per_output<15>, check_along},
      {"store", kOne, kIndexed, W::kScattered, none, nullptr, check_move},
      {"sum_to", kOne, kStanding, W::kRows, ShapeAttributes(), per_input<1>, check_sum_to},
      {"take", kOne, kIndexed, W::kRows, none, nullptr, check_move},
      {"uniform", kNone, kStanding, W::kRows, UniformAttributes(), per_output<8>, check_uniform},
      {"unique_ids", kNone, kIds, W::kRows, none, nullptr, check_unique_ids},
      // clang-format on
  };
  return *table;
}

KernelId kernel_named(const std::string& name) {
  for (const Kernel& kernel : kernels()) {
    if (name == kernel.name) return &kernel;
  }
  fail(ErrorKind::kValue, "[program] expected the name of a kernel, got '", name,
       "'; take one of kernel_names()");
}

const MatmulAttributes* product_of(const Attributes& attributes) {
  if (const auto* masked = std::get_if<MaskedMatmulAttributes>(&attributes)) return masked;
  return std::get_if<MatmulAttributes>(&attributes);
}

const UniformAttributes* sampled_of(const Attributes& attributes) {
  if (const auto* dropout = std::get_if<DropoutAttributes>(&attributes)) return dropout;
  return std::get_if<UniformAttributes>(&attributes);
}

double product_flops(const MatmulAttributes& product) {
  return 2.0 * static_cast<double>(product.m) * static_cast<double>(product.k) *
         static_cast<double>(product.n);
}

RowCost row_cost(const Program& program, const Instruction& instruction) {
  RowCost cost;
  const Kernel& kernel = *instruction.kernel;
  if (kernel.flops != nullptr) cost.flops = kernel.flops(program, instruction);
  for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
    for (const int id : *list) {
      const ValueSpec& value = program.values[static_cast<size_t>(id)];
      if (value.space.kind == SpaceKind::kNone) continue;
      cost.bytes += static_cast<double>(value.size) * static_cast<double>(item_size(value.dtype));
    }
  }
  return cost;
}

bool sums_rows(const Instruction& instruction) {
  return instruction.kernel->writes == Writes::kSums;
}

bool goes_over_graphs(const Instruction& instruction) {
  return instruction.kernel->writes == Writes::kGraphs;
}

}  // namespace cavs
