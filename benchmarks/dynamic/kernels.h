// The engine's kernels, called on dense matrices of floats: rows one after the other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/groups/group_program.h"
#include "cpu/kernel.h"
#include "dynamic/buffer.h"
#include "dynamic/parameters.h"

namespace cavs::dynamic {

// What the engine's interpreter of elementwise groups is asked for. Operands come in the order of
// the comments; the last one, `t`, is left out where the result replaces what it is added to.
enum class Formula : uint8_t {
  kTanh,          // tanh(x)
  kLogistic,      // sigmoid(x)
  kExp,           // exp(x)
  kOneMinus,      // 1 - x
  kSubtract,      // a - b
  kMultiply,      // a b
  kDivide,        // a / b
  kTanhGrad,      // dy (1 - y y)       dy, y, t
  kLogisticGrad,  // dy y (1 - y)       dy, y, t
  kProductGrad,   // dy b               dy, b, t
  kQuotientGrad,  // dy / b             dy, b, t
  kDivisorGrad,   // -dy y / b          dy, y, b, t
  kCopyGrad,      // dy                 dy, t
  kNegativeGrad,  // -dy                dy, t
  kCount,
};

class Kernels {
 public:
  Kernels();

  // y (rows, m) = x (rows, k) w^T, with w (m, k).
  void linear(const float* x, Parameter* w, float* y, int64_t rows);
  // x (rows, k) = y (rows, m) w, with w (m, k).
  void linear_input_grad(const float* y, Parameter* w, float* x, int64_t rows);
  // The gradient of w (m, k) gets y^T x, summed over rows.
  void linear_weight_grad(const float* y, const float* x, Parameter* w, int64_t rows);
  // For each of the rows: c (m, n) = a (m, k) b (k, n), or b (n, k) transposed.
  void product_by_row(const float* a, const float* b, float* c, int64_t rows, int64_t m, int64_t k,
                      int64_t n, bool transpose_b);
  // y (rows, m) = the sum of `terms` and of the bias (m), where it is not null. y may be a term.
  void add_up(const float* const* terms, int num_terms, const float* bias, float* y, int64_t rows,
              int64_t m);
  // y (n) by a formula. `whole`: y owns its memory to the end of the vector.
  void elementwise(Formula formula, bool accumulate, const float* const* x, float* y, int64_t n,
                   bool whole);
  // y (m) = or += the sum over rows of x (rows, m).
  void sum_rows(const float* x, float* y, int64_t rows, int64_t m, bool accumulate);
  // y += x; the second is counted by its caller, as a part of something.
  void add(const float* x, float* y, int64_t n);
  void add_row(const float* x, float* y, int64_t n);
  // y (rows, d): the rows `ids` of a table.
  void embedding(const float* table, int64_t num, const int32_t* ids, float* y, int64_t rows,
                 int64_t d);
  // loss (rows) = -log softmax(x (rows, m))[label]
  void cross_entropy(const float* x, const int32_t* labels, float* loss, int64_t rows, int64_t m);
  void cross_entropy_grad(const float* dloss, const float* x, const int32_t* labels, float* dx,
                          int64_t rows, int64_t m);

  void count() { ++launches_; }
  int64_t launches() const { return launches_; }

 private:
  struct Program {
    int inputs = 0;
    std::shared_ptr<const GroupProgram> group;
  };

  void build_programs();
  Operand weight_operand(Parameter* w, bool transposed, int64_t rows);
  void launch(KernelFunction function, const Operand* in, int num_in, const Operand& out,
              const void* attributes, int64_t rows);
  void interpret(const Program& program, const Operand* in, int num_in, float* y, int64_t rows,
                 int64_t width, bool whole);

  KernelFunction matmul_, fused_, reduce_rows_, embedding_, cross_entropy_, cross_entropy_grad_;
  std::array<Program, 2 * static_cast<size_t>(Formula::kCount)> programs_;
  std::vector<Program> sums_, sums_with_bias_;  // of so many terms
  FloatBuffer scratch_, partial_;
  int64_t launches_ = 0;
};

}  // namespace cavs::dynamic
