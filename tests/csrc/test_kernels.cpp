// Kernels as the runtime calls them, and the pool of threads; the values are checked in
// tests/kernels.
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "check.h"
#include "cpu/groups/group_program.h"
#include "cpu/isa_table.h"
#include "cpu/kernel.h"
#include "cpu/step_arithmetic.h"
#include "program/kernels.h"

namespace cavs {
namespace {

struct alignas(64) Scratch {
  char bytes[kScratchBytes];
};

void test_registry() {
  CHECK(find_kernel(DType::kFloat32, "fused") != nullptr);
  CHECK(find_kernel(DType::kFloat64, "matmul") != nullptr);
  CHECK(find_kernel(DType::kFloat32, "fused") != find_kernel(DType::kFloat64, "fused"));
  CHECK(find_kernel(DType::kInt32, "fused") == nullptr);
  CHECK(find_kernel(DType::kFloat32, "nothing") == nullptr);
  std::vector<std::string> rows;
  for (const Kernel& kernel : kernels()) rows.emplace_back(kernel.name);
  CHECK(rows == kernel_names());  // both in order of the alphabet
  for (const std::string& name : rows) CHECK(name == kernel_named(name)->name);
}

void test_scalar_ops() {
  const std::vector<std::string>& names = scalar_op_names();
  for (size_t i = 0; i < names.size(); ++i) {
    CHECK(scalar_opcode(names[i]) == static_cast<int>(i));
    CHECK(scalar_op_arity(static_cast<int>(i)) >= 1);
  }
  CHECK(scalar_opcode("nothing") == -1);
  CHECK(scalar_op_arity(-1) == -1);
  CHECK(scalar_op_arity(static_cast<int>(names.size())) == -1);
}

// x0 = x + c, x1 = x0 + c, ..: one register, and one more for a result that is kept.
void test_registers_are_used_again() {
  Group group;
  group.width = 4;
  group.inputs.resize(1);
  group.constants = {1.0};
  for (int i = 0; i < 50; ++i) {
    group.calls.push_back({scalar_opcode("add"), {i == 0 ? 0 : group.first_call() + i - 1, 1, -1}});
  }
  const int first = group.first_call();
  group.outputs = {first + 49};
  CHECK(prepare_group(group, false)->num_registers == 1);
  group.outputs = {first + 49, first + 20, first + 20};
  const auto program = prepare_group(group, false);
  CHECK(program->num_registers == 2);
  CHECK(program->outputs[1] == program->outputs[2] && program->outputs[0] != program->outputs[1]);
  CHECK(program->num_steps == 50 && program->num_constants == 1);
  CHECK(program->steps[1].b == 1 + 2);  // the constant stands after the registers
}

// Threads write the halves of a value whose rows have no padding; no half may touch the other.
void test_fused_leaves_neighbouring_rows() {
  constexpr int64_t width = 5, rows = 101;
  std::vector<float> x(width * rows, 3.0f), y(width * rows, -1.0f);
  const Operand in = {x.data(), width, width, false};
  const Operand out = {y.data(), width, width, true};
  Group group;
  group.width = width;
  group.inputs.resize(1);
  group.calls = {{scalar_opcode("square"), {0, -1, -1}}};
  group.outputs = {1};
  const auto program = prepare_group(group, false);
  static Scratch scratch;
  KernelCall call;
  call.in = &in;
  call.num_in = 1;
  call.out = &out;
  call.num_out = 1;
  call.attributes = program.get();
  call.scratch = scratch.bytes;
  call.row_begin = 3;
  call.row_end = 70;
  find_kernel(DType::kFloat32, "fused")(call);
  for (int64_t i = 0; i < width * rows; ++i) {
    const bool inside = i >= width * 3 && i < width * 70;
    CHECK(y[static_cast<size_t>(i)] == (inside ? 9.0f : -1.0f));
  }
}

// No library is loaded here, and a product that may need one says so whatever its size. Products
// with a weight that all rows share are our own.
void test_products_without_blas() {
  constexpr int64_t size = 64;
  std::vector<float> a(2 * size, 1.0f), b(2 * size * size, 1.0f), c(2 * size, 0.0f);
  const Operand in[] = {{a.data(), size, size, false}, {b.data(), size * size, size * size, false}};
  const Operand out = {c.data(), size, size, false};
  const MatmulAttributes product = {false, true, 1, size, size};
  KernelCall call;
  call.in = in;
  call.num_in = 2;
  call.out = &out;
  call.num_out = 1;
  call.attributes = &product;
  for (const int64_t rows : {1, 2}) {
    call.row_end = rows;
    CHECK_THROWS(find_kernel(DType::kFloat32, "matmul")(call), Error, "load_blas");
  }
}

// Each piece of work is done once, and before the next one begins, however late the helpers come.
void test_team() {
  for (int round = 0; round < 300; ++round) {
    const int count = 1 + round % 4;
    std::atomic<int> wrong{0};
    run_team(count, 1e9, [&](Team& team) {
      CHECK(team.count() == count);
      std::vector<int> pieces(64, 0);
      for (int piece = 1; piece <= 50; ++piece) {
        const int parts = 1 + piece % 7;
        team.share(parts, [&](int thread, int part) {
          if (thread < 0 || thread >= count) ++wrong;
          if (pieces[static_cast<size_t>(part)]++ != 0) ++wrong;
        });
        for (int part = 0; part < parts; ++part) {
          if (pieces[static_cast<size_t>(part)] != 1) ++wrong;
          pieces[static_cast<size_t>(part)] = 0;
        }
      }
    });
    CHECK(wrong == 0);
    if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(hand_over_ns() > 0 && hand_over_ns() < 1e6);
}

void test_exceptions_of_a_team() {
  for (const int culprit : {0, 2}) {
    std::atomic<int> parts{0};
    CHECK_THROWS(run_team(3, 1e9,
                          [&](Team& team) {
                            team.share(3, [&](int, int part) {
                              ++parts;
                              if (part == culprit) throw std::runtime_error("from a part");
                            });
                          }),
                 std::runtime_error, "from a part");
    CHECK(parts == 3);
  }
  CHECK_THROWS(run_team(2, 1e9, [](Team&) { throw std::runtime_error("from a leader"); }),
               std::runtime_error, "from a leader");
  CHECK_THROWS(run_team(2, 1e9, [](Team&) { run_team(2, 1e9, [](Team&) {}); }), Error,
               "regions that do not nest");
  CHECK_THROWS(run_team(2, 1e9, [](Team& team) { team.share(5000, [](int, int) {}); }), Error,
               "expected 1..4095 parts");
  CHECK_THROWS(set_num_threads(0), Error, "expected a number of threads");
  std::atomic<int> runs{0};
  run_team(3, 1e9, [&](Team& team) { team.share(3, [&](int, int) { ++runs; }); });
  CHECK(runs == 3);
}

void test_optimizers_do_not_depend_on_threads() {
  const int before = num_threads();
  std::vector<float> x(200003);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  const Elements<float> all = {x.data(), static_cast<int64_t>(x.size())};
  const StepArithmetic<float>& arithmetic = cpu_step_arithmetic<float>();
  set_num_threads(1);
  const double alone = arithmetic.sum_squares(all);
  set_num_threads(4);
  CHECK(arithmetic.sum_squares(all) == alone);
  set_num_threads(before);
}

template <class T>
void test_nan_in_rows() {
  constexpr int64_t kRows = 3, kMost = 40;
  const auto has_nan = isa_functions<T>().has_nan;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (int64_t n = 1; n <= kMost; ++n) {
    std::vector<T> x(kRows * kMost, std::numeric_limits<T>::infinity());
    CHECK(!has_nan(x.data(), kRows, kMost, n));
    for (int64_t at = 0; at < kRows * kMost; ++at) {
      x[static_cast<size_t>(at)] = nan;
      CHECK(has_nan(x.data(), kRows, kMost, n) == (at % kMost < n));
      x[static_cast<size_t>(at)] = static_cast<T>(-1);
    }
  }
  CHECK(!has_nan(&nan, 0, 1, 1));
}

}  // namespace
}  // namespace cavs

int main() {
  cavs::test_registry();
  cavs::test_scalar_ops();
  cavs::test_registers_are_used_again();
  cavs::test_fused_leaves_neighbouring_rows();
  cavs::test_products_without_blas();
  cavs::test_team();
  cavs::test_exceptions_of_a_team();
  cavs::test_optimizers_do_not_depend_on_threads();
  cavs::test_nan_in_rows<float>();
  cavs::test_nan_in_rows<double>();
  return cavs_test::result();
}
