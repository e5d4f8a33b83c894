#include "dynamic/kernels.h"

#include <string>

#include "base/error.h"
#include "cpu/isa_table.h"
#include "cpu/kernels/blas.h"
#include "program/attributes.h"

namespace cavs::dynamic {
namespace {

// Most terms of one call of add_up, bias included.
constexpr int kMostTerms = 9;
// Products of more rows than this are as fast in OpenBLAS, which packs for itself; where sums are
// short, or before so many rows, packing costs more than it gains (as in runtime/weights.cpp).
constexpr int64_t kFewRows = 64;
constexpr int64_t kShortestSum = 16;
constexpr int64_t kRowsBeforePacking = 8;

KernelFunction kernel_named(const char* name) {
  const KernelFunction function = find_kernel(DType::kFloat32, name);
  CAVS_CHECK(function != nullptr, ErrorKind::kRuntime, "[dynamic] expected a kernel ", name,
             ", got none; build against the engine of the same version");
  return function;
}

// One operation: results are numbered after the operands and the constants.
struct Step {
  const char* name;
  int a, b = -1;
};

struct Recipe {
  Formula formula;
  int inputs;
  std::vector<Step> replace, accumulate;
  std::vector<double> constants = {};
};

Operand rows_operand(const float* data, int64_t width, bool padded) {
  Operand operand;
  operand.data = const_cast<float*>(data);
  operand.ld = operand.size = width;
  operand.padded = padded;
  return operand;
}

Operand shared_operand(const float* data, int64_t size) {
  Operand operand;
  operand.data = const_cast<float*>(data);
  operand.size = size;
  return operand;
}

std::shared_ptr<const GroupProgram> prepare(int inputs, bool bias, const std::vector<Step>& steps,
                                            const std::vector<double>& constants) {
  Group group;
  group.inputs.resize(static_cast<size_t>(inputs));
  if (bias) group.inputs.back().read = Read::kShared;
  group.constants = constants;
  for (const Step& step : steps) {
    const int op = scalar_opcode(step.name);
    CAVS_CHECK(op >= 0, ErrorKind::kRuntime, "[dynamic] expected a scalar operation ", step.name,
               ", got none; build against the engine of the same version");
    group.calls.push_back({op, {step.a, step.b, -1}});
  }
  group.outputs = {group.first_call() + static_cast<int>(steps.size()) - 1};
  return prepare_group(group, false);
}

}  // namespace

Kernels::Kernels()
    : matmul_(kernel_named("matmul")),
      fused_(kernel_named("fused")),
      reduce_rows_(kernel_named("reduce_rows")),
      embedding_(kernel_named("embedding")),
      cross_entropy_(kernel_named("cross_entropy")),
      cross_entropy_grad_(kernel_named("cross_entropy_grad")) {
  scratch_.at_least(kScratchBytes / kFloatBytes);
  build_programs();
}

void Kernels::build_programs() {
  const Recipe recipes[] = {
      {Formula::kTanh, 1, {{"tanh", 0}}, {}},
      {Formula::kLogistic, 1, {{"sigmoid", 0}}, {}},
      {Formula::kExp, 1, {{"exp", 0}}, {}},
      {Formula::kOneMinus, 1, {{"sub", 1, 0}}, {}, {1.0}},
      {Formula::kSubtract, 2, {{"sub", 0, 1}}, {}},
      {Formula::kMultiply, 2, {{"mul", 0, 1}}, {}},
      {Formula::kDivide, 2, {{"div", 0, 1}}, {}},
      {Formula::kTanhGrad, 2, {{"tanh_grad", 0, 1}}, {{"tanh_grad", 0, 1}, {"add", 3, 2}}},
      {Formula::kLogisticGrad,
       2,
       {{"sigmoid_grad", 0, 1}},
       {{"sigmoid_grad", 0, 1}, {"add", 3, 2}}},
      {Formula::kProductGrad, 2, {{"mul", 0, 1}}, {{"mul", 0, 1}, {"add", 3, 2}}},
      {Formula::kQuotientGrad, 2, {{"div", 0, 1}}, {{"div", 0, 1}, {"add", 3, 2}}},
      {Formula::kDivisorGrad,
       3,
       {{"mul", 0, 1}, {"div", 3, 2}, {"neg", 4}},
       {{"mul", 0, 1}, {"div", 4, 2}, {"sub", 3, 5}}},
      {Formula::kCopyGrad, 1, {{"identity", 0}}, {{"add", 0, 1}}},
      {Formula::kNegativeGrad, 1, {{"neg", 0}}, {{"sub", 1, 0}}},
  };
  for (const Recipe& recipe : recipes) {
    const size_t place = 2 * static_cast<size_t>(recipe.formula);
    programs_[place] = {recipe.inputs,
                        prepare(recipe.inputs, false, recipe.replace, recipe.constants)};
    if (recipe.accumulate.empty()) continue;
    programs_[place + 1] = {recipe.inputs + 1,
                            prepare(recipe.inputs + 1, false, recipe.accumulate, {})};
  }
  sums_.resize(kMostTerms + 1);
  sums_with_bias_.resize(kMostTerms + 1);
  for (int terms = 1; terms <= kMostTerms; ++terms) {
    std::vector<Step> steps;
    if (terms == 1) steps.push_back({"identity", 0});
    for (int i = 1; i < terms; ++i) steps.push_back({"add", i == 1 ? 0 : terms + i - 2, i});
    sums_[static_cast<size_t>(terms)] = {terms, prepare(terms, false, steps, {})};
    sums_with_bias_[static_cast<size_t>(terms)] = {terms, prepare(terms, true, steps, {})};
  }
}

void Kernels::launch(KernelFunction function, const Operand* in, int num_in, const Operand& out,
                     const void* attributes, int64_t rows) {
  KernelCall call;
  call.in = in;
  call.num_in = num_in;
  call.out = &out;
  call.num_out = 1;
  call.attributes = attributes;
  call.row_end = rows;
  call.scratch = scratch_.data();
  count();
  function(call);
}

// The weight of a product of so many rows, in panels where these are worth it.
Operand Kernels::weight_operand(Parameter* w, bool transposed, int64_t rows) {
  Operand operand = shared_operand(w->value.data(), w->size());
  const int64_t k = transposed ? w->columns : w->rows, n = transposed ? w->rows : w->columns;
  if (k < kShortestSum || rows > kFewRows) return operand;
  Panels& panels = transposed ? w->forward : w->backward;
  if (!panels.fresh) {
    panels.rows += rows;
    if (panels.rows < kRowsBeforePacking) return operand;
    const int64_t bytes = packed_weight_bytes(DType::kFloat32, k, n);
    panels.data.at_least((bytes + kFloatBytes - 1) / kFloatBytes);
    pack_weight(DType::kFloat32, transposed, k, n, w->value.data(), panels.data.data(), 0, 1);
    count();
    panels.fresh = true;
  }
  operand.packed = panels.data.data();
  return operand;
}

void Kernels::linear(const float* x, Parameter* w, float* y, int64_t rows) {
  const int64_t m = w->rows, k = w->columns;
  const Operand in[] = {rows_operand(x, k, false), weight_operand(w, true, rows)};
  const MatmulAttributes product = {false, true, 1, k, m};
  launch(matmul_, in, 2, rows_operand(y, m, false), &product, rows);
}

void Kernels::linear_input_grad(const float* y, Parameter* w, float* x, int64_t rows) {
  const int64_t m = w->rows, k = w->columns;
  const Operand in[] = {rows_operand(y, m, false), weight_operand(w, false, rows)};
  const MatmulAttributes product = {false, false, 1, m, k};
  launch(matmul_, in, 2, rows_operand(x, k, false), &product, rows);
}

void Kernels::linear_weight_grad(const float* y, const float* x, Parameter* w, int64_t rows) {
  const int64_t m = w->rows, k = w->columns;
  count();
  gemm(true, false, m, k, rows, y, m, x, k, w->touched ? 1.0f : 0.0f, w->gradient.data(), k);
  w->touched = true;
}

void Kernels::product_by_row(const float* a, const float* b, float* c, int64_t rows, int64_t m,
                             int64_t k, int64_t n, bool transpose_b) {
  const Operand in[] = {rows_operand(a, m * k, false), rows_operand(b, k * n, false)};
  const Operand out = rows_operand(c, m * n, false);
  const MatmulAttributes product = {false, transpose_b, m, k, n};
  launch(matmul_, in, 2, out, &product, rows);
}

void Kernels::interpret(const Program& program, const Operand* in, int num_in, float* y,
                        int64_t rows, int64_t width, bool whole) {
  const Operand out = rows_operand(y, width, whole);
  GroupProgram group = *program.group;
  group.width = width;
  launch(fused_, in, num_in, out, &group, rows);
}

void Kernels::add_up(const float* const* terms, int num_terms, const float* bias, float* y,
                     int64_t rows, int64_t m) {
  Operand in[kMostTerms];
  // Without a bias all rows are one.
  if (bias == nullptr) m *= rows, rows = 1;
  for (int i = 0; i < num_terms; ++i) in[i] = rows_operand(terms[i], m, rows == 1);
  if (bias != nullptr) in[num_terms++] = shared_operand(bias, m);
  const auto& sums = bias == nullptr ? sums_ : sums_with_bias_;
  interpret(sums[static_cast<size_t>(num_terms)], in, num_terms, y, rows, m, rows == 1);
}

void Kernels::elementwise(Formula formula, bool accumulate, const float* const* x, float* y,
                          int64_t n, bool whole) {
  const Program& program = programs_[2 * static_cast<size_t>(formula) + (accumulate ? 1 : 0)];
  Operand in[4];
  const int given = program.inputs - (accumulate ? 1 : 0);
  for (int i = 0; i < given; ++i) in[i] = rows_operand(x[i], n, true);
  if (accumulate) in[given] = rows_operand(y, n, true);
  interpret(program, in, program.inputs, y, 1, n, whole);
}

void Kernels::sum_rows(const float* x, float* y, int64_t rows, int64_t m, bool accumulate) {
  if (accumulate && rows == 1) return add(x, y, m);
  float* total = accumulate ? partial_.at_least(m) : y;
  const Operand in[] = {rows_operand(x, m, false)};
  const Operand out = shared_operand(total, m);
  launch(reduce_rows_, in, 1, out, nullptr, rows);
  if (accumulate) add(total, y, m);
}

void Kernels::add(const float* x, float* y, int64_t n) {
  count();
  add_row(x, y, n);
}

void Kernels::add_row(const float* x, float* y, int64_t n) {
  isa_table().single.add_scaled(y, x, 1.0, n);
}

void Kernels::embedding(const float* table, int64_t num, const int32_t* ids, float* y, int64_t rows,
                        int64_t d) {
  Operand in[] = {shared_operand(table, num * d), {}};
  in[1].data = const_cast<int32_t*>(ids);
  in[1].ld = in[1].size = 1;
  const Operand out = rows_operand(y, d, false);
  const EmbeddingAttributes weight = {num, d};
  launch(embedding_, in, 2, out, &weight, rows);
}

void Kernels::cross_entropy(const float* x, const int32_t* labels, float* loss, int64_t rows,
                            int64_t m) {
  Operand in[] = {rows_operand(x, m, false), {}};
  in[1].data = const_cast<int32_t*>(labels);
  in[1].ld = in[1].size = 1;
  const Operand out = rows_operand(loss, 1, false);
  launch(cross_entropy_, in, 2, out, nullptr, rows);
}

void Kernels::cross_entropy_grad(const float* dloss, const float* x, const int32_t* labels,
                                 float* dx, int64_t rows, int64_t m) {
  Operand in[] = {rows_operand(dloss, 1, false), rows_operand(x, m, false), {}};
  in[2].data = const_cast<int32_t*>(labels);
  in[2].ld = in[2].size = 1;
  const Operand out = rows_operand(dx, m, false);
  launch(cross_entropy_grad_, in, 3, out, nullptr, rows);
}

}  // namespace cavs::dynamic
