// The scalar operations over one float, as a device would compile them, against the vectors of this
// machine and its machine code: equal bits.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/isa.h"
#include "check.h"
#include "cpu/groups/group_code.h"
#include "cpu/groups/group_program.h"
#include "cpu/kernel.h"
#include "group/one_lane.h"
// The lane type comes first.
#include "group/scalar_functions.h"

namespace cavs {
namespace {

#define CAVS_LIST_OP(name, arity, expression) &scalar_##name<float>,
constexpr float (*kOneLane[])(float, float, float) = {CAVS_SCALAR_OPS(CAVS_LIST_OP)};
#undef CAVS_LIST_OP

constexpr int64_t kWidth = 128, kRows = 128;
constexpr size_t kCount = static_cast<size_t>(kWidth * kRows);

using Floats = std::vector<float>;

struct alignas(64) Scratch {
  char bytes[kScratchBytes];
};

Floats special_values() {
  using Limits = std::numeric_limits<float>;
  Floats values;
  for (const float x : {0.0f,
                        1.0f,
                        0.5f,
                        1e-3f,
                        1e-20f,
                        3.0f,
                        16.5f,
                        87.0f,
                        89.0f,
                        104.0f,
                        1e10f,
                        Limits::infinity(),
                        Limits::max(),
                        Limits::min(),
                        Limits::denorm_min(),
                        Limits::min() / 2,
                        1 - 1e-7f,
                        Limits::epsilon(),
                        2.0f,
                        9999.0f,
                        12345.0f}) {
    values.push_back(x);
    values.push_back(-x);
  }
  values.push_back(Limits::quiet_NaN());
  values.push_back(-Limits::quiet_NaN());
  return values;
}

// Special values in all pairs first (and thirds in turn), then numbers near one, then any bits.
std::vector<Floats> draw_operands() {
  const Floats special = special_values();
  std::vector<Floats> operands(3, Floats(kCount));
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < kCount; ++i) {
    const size_t n = special.size();
    for (size_t k = 0; k < 3; ++k) {
      float& x = operands[k][i];
      if (i < n * n) {
        x = special[k == 0 ? i % n : k == 1 ? i / n : (i + i / n) % n];
      } else if (i < kCount / 2) {
        x = normal(random) * (i % 2 == 0 ? 1.0f : 20.0f);
      } else {
        const auto bits = static_cast<uint32_t>(random());
        std::memcpy(&x, &bits, sizeof(x));
      }
    }
  }
  return operands;
}

Group group_of_one(int op) {
  Group group;
  group.width = kWidth;
  group.inputs.resize(static_cast<size_t>(scalar_op_arity(op)));
  ScalarCall call;
  call.op = op;
  for (int i = 0; i < scalar_op_arity(op); ++i) call.arguments[static_cast<size_t>(i)] = i;
  group.calls = {call};
  group.outputs = {group.first_call()};
  return group;
}

Floats run(const Group& group, bool compile, std::vector<Floats> operands) {
  const auto program = prepare_group(group, compile);
  CHECK(!compile || program->code != nullptr);
  Floats result(kCount);
  std::vector<Operand> in;
  for (Floats& operand : operands) in.push_back({operand.data(), kWidth, kWidth, true});
  const Operand out = {result.data(), kWidth, kWidth, true};
  static Scratch scratch;
  KernelCall call;
  call.in = in.data();
  call.num_in = static_cast<int>(group.inputs.size());
  call.out = &out;
  call.num_out = 1;
  call.attributes = program.get();
  call.row_end = kRows;
  call.scratch = scratch.bytes;
  find_kernel(DType::kFloat32, "fused")(call);
  return result;
}

// Which NaN it is does not matter.
bool same_bits(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return bits_of(a) == bits_of(b);
}

void check_equal(const std::string& what, const Floats& got, const Floats& expected,
                 const std::vector<Floats>& operands) {
  size_t differing = 0, first = 0;
  for (size_t i = kCount; i-- > 0;) {
    if (same_bits(got[i], expected[i])) continue;
    ++differing;
    first = i;
  }
  if (differing == 0) return;
  cavs_test::report(__FILE__, __LINE__,
                    what + " of " + std::to_string(differing) + " operands, first of " +
                        std::to_string(operands[0][first]) + ", " +
                        std::to_string(operands[1][first]) + ": " + std::to_string(got[first]) +
                        ", expected " + std::to_string(expected[first]));
}

void test_one_lane() {
  const std::vector<Floats> operands = draw_operands();
  for (int op = 0; op < static_cast<int>(scalar_op_names().size()); ++op) {
    const std::string& name = scalar_op_names()[static_cast<size_t>(op)];
    const Group group = group_of_one(op);
    Floats alone(kCount);
    for (size_t i = 0; i < kCount; ++i) {
      alone[i] = kOneLane[op](operands[0][i], operands[1][i], operands[2][i]);
    }
    const Floats interpreted = run(group, false, operands);
    // Without fused multiply-add, formulas round otherwise.
    if (current_isa() != Isa::kGeneric) {
      check_equal(name + " interpreted", interpreted, alone, operands);
    }
    if (can_compile_groups())
      check_equal(name + " compiled", run(group, true, operands), alone, operands);
  }
}

float one(const char* name, float a, float b = 0) { return kOneLane[scalar_opcode(name)](a, b, 0); }

void test_special_values() {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(one("relu", -inf) == 0 && one("relu", inf) == inf && std::isnan(one("relu", nan)));
  CHECK(std::signbit(one("relu", -0.0f)) && !std::signbit(one("relu", 0.0f)));
  CHECK(std::isnan(one("sign", nan)) && one("sign", -inf) == -1 && one("sign", inf) == 1);
  CHECK(std::signbit(one("sign", -0.0f)) && one("sign", -0.0f) == 0);
  CHECK(one("exp", -inf) == 0 && one("exp", inf) == inf && std::isnan(one("exp", nan)));
  CHECK(one("log", 0.0f) == -inf && one("log", -0.0f) == -inf && one("log", inf) == inf);
  CHECK(std::isnan(one("log", -1.0f)) && std::isnan(one("log", nan)));
  CHECK(one("sigmoid", -inf) == 0 && one("sigmoid", inf) == 1 && std::isnan(one("sigmoid", nan)));
  CHECK(one("tanh", -inf) == -1 && one("tanh", inf) == 1 && std::isnan(one("tanh", nan)));
  CHECK(one("softplus", -inf) == 0 && one("softplus", inf) == inf);
  CHECK(one("erfinv", 1.0f) == inf && one("erfinv", -1.0f) == -inf);
  CHECK(std::isnan(one("maximum", nan, 1)) && std::isnan(one("maximum", 1, nan)));
  CHECK(std::isnan(one("minimum", nan, 1)) && std::isnan(one("minimum", 1, nan)));
  CHECK(one("greater", nan, 1) == 0 && one("less_equal", nan, nan) == 0);
  CHECK(one("equal", nan, nan) == 0 && one("equal", 0.0f, -0.0f) == 1);
  CHECK(one("reciprocal", -0.0f) == -inf && one("rsqrt", 0.0f) == inf);
  CHECK(one("abs", -inf) == inf && !std::signbit(one("abs", -0.0f)));
  CHECK(one("pow", nan, 0) == 1 && one("pow", 1, nan) == 1 && std::isnan(one("pow", -1, nan)));
  CHECK(one("pow", -0.0f, -3) == -inf && one("pow", 0.0f, -2) == inf && one("pow", -2, 3) == -8);
  CHECK(one("pow", -inf, 3) == -inf && one("pow", -inf, 0.5f) == inf && one("pow", -1, inf) == 1);
  CHECK(std::isnan(one("pow", -2, 0.5f)) && std::signbit(one("pow", -0.0f, 3)));
  CHECK(one("sin", -0.0f) == 0 && std::signbit(one("sin", -0.0f)) && std::isnan(one("sin", inf)));
  CHECK(one("cos", 0) == 1 && std::isnan(one("cos", -inf)) && std::isnan(one("cos", nan)));
  CHECK(one("erf", inf) == 1 && one("erf", -inf) == -1 && std::isnan(one("erf", nan)));
  CHECK(one("gelu", inf) == inf && one("gelu", -inf) == 0 && std::isnan(one("gelu", nan)));
  CHECK(one("silu", inf) == inf && one("silu", -inf) == 0 && std::isnan(one("silu", nan)));
  CHECK(one("elu", inf, 2) == inf && one("elu", -inf, 2) == -2 && std::isnan(one("elu", nan, 2)));
  CHECK(one("leaky_relu", -2, 0.5f) == -1 && one("leaky_relu", 2, 0.5f) == 2);
  CHECK(one("log1p", -1) == -inf && one("log1p", inf) == inf && std::isnan(one("log1p", -2)));
  CHECK(one("expm1", -inf) == -1 && one("expm1", inf) == inf && std::isnan(one("expm1", nan)));
  CHECK(one("lgamma", 0) == inf && one("lgamma", -3) == inf && one("lgamma", -inf) == inf);
  CHECK(one("lgamma", 1) == 0 && one("lgamma", 2) == 0 && std::isnan(one("lgamma", nan)));
  CHECK(one("digamma", 0.0f) == -inf && one("digamma", -0.0f) == inf && one("digamma", inf) == inf);
  CHECK(std::isnan(one("digamma", -2)) && std::isnan(one("digamma", -inf)));
  CHECK(one("zeta", 2, 0) == inf && one("zeta", 2, inf) == 0 && std::isnan(one("zeta", 2, -1)));
  CHECK(one("bce_with_logits", inf, 1) == 0 && one("bce_with_logits", -inf, 0) == 0);
}

// Powers to a few units in the last place, large ones too, where a logarithm of one float is not
// enough.
void test_accuracy_of_powers() {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> base(0.1f, 10.0f), power(-30.0f, 30.0f);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const bool near_one = i % 2 == 0;
    const float a = near_one ? 1 + (base(random) - 5) / 20 : base(random);
    const float b = near_one ? 8 * power(random) : power(random);
    const double expected = std::pow(static_cast<double>(a), static_cast<double>(b));
    worst = std::max(worst, std::abs(one("pow", a, b) - expected) / expected);
  }
  CHECK(worst < 5e-7);
}

}  // namespace
}  // namespace cavs

int main() {
  cavs::test_accuracy_of_powers();
  cavs::test_one_lane();
  cavs::test_special_values();
  return cavs_test::result();
}
