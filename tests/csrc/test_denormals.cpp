// Denormal numbers: modes of threads, and of the helpers of a team.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "base/denormals.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "check.h"

namespace cavs {
namespace {

volatile float small = 1e-39f, least_normal = 1.2e-38f;

// What arithmetic does here and now, whatever the control register says.
bool operand_counts() { return small * 1e10f != 0; }
bool result_counts() { return least_normal * 0.5f != 0; }

void expect(Denormals mode) {
  const bool kept = mode == Denormals::kKept;
  CHECK(current_denormals() == mode);
  CHECK(operand_counts() == kept && result_counts() == kept);
}

void test_scopes() {
  expect(Denormals::kKept);
  {
    const DenormalScope outer(Denormals::kFlushed);
    expect(Denormals::kFlushed);
    {
      const DenormalScope inner(Denormals::kKept);
      expect(Denormals::kKept);
      const DenormalScope same(Denormals::kKept);
      expect(Denormals::kKept);
    }
    expect(Denormals::kFlushed);
  }
  expect(Denormals::kKept);
  try {
    const DenormalScope scope(Denormals::kFlushed);
    throw std::runtime_error("within");
  } catch (const std::runtime_error&) {
    expect(Denormals::kKept);
  }
}

void test_setting() {
  CHECK(flush_denormals());
  CHECK(denormals_for(DType::kFloat32) == Denormals::kFlushed);
  CHECK(denormals_for(DType::kFloat64) == Denormals::kKept);
  set_flush_denormals(false);
  CHECK(denormals_for(DType::kFloat32) == Denormals::kKept);
  set_flush_denormals(true);
}

// Parts that wait for a helper, but not for ever: cores may be crowded.
void share_with_helpers(Team& team, Denormals mode, std::atomic<int>* helped) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  team.share(8, [&](int thread, int) {
    CHECK(current_denormals() == mode);
    CHECK(operand_counts() == (mode == Denormals::kKept));
    if (thread != 0) ++*helped;
    while (*helped == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
}

// The same helpers serve leaders of both modes, one after the other.
void test_helpers() {
  std::atomic<int> calls_helped{0};
  for (int round = 0; round < 60; ++round) {
    const Denormals mode = round % 3 == 0 ? Denormals::kKept : Denormals::kFlushed;
    std::atomic<int> helped{0};
    const DenormalScope scope(mode);
    run_team(2 + round % 2, 1e9, [&](Team& team) { share_with_helpers(team, mode, &helped); });
    if (helped > 0) ++calls_helped;
    CHECK(current_denormals() == mode);
  }
  CHECK(calls_helped > 0);
}

void test_helpers_after_exceptions() {
  for (const bool of_leader : {true, false}) {
    {
      const DenormalScope scope(Denormals::kFlushed);
      CHECK_THROWS(run_team(3, 1e9,
                            [&](Team& team) {
                              if (of_leader) throw std::runtime_error("broken");
                              team.share(6, [](int, int) { throw std::runtime_error("broken"); });
                            }),
                   std::runtime_error, "broken");
      expect(Denormals::kFlushed);
    }
    std::atomic<int> helped{0};
    run_team(3, 1e9, [&](Team& team) { share_with_helpers(team, Denormals::kKept, &helped); });
    expect(Denormals::kKept);
  }
}

// A thread that begins in one mode, as its creator was, serves the other too.
void test_creator_of_helpers_does_not_matter() {
  std::thread([] {
    const DenormalScope scope(Denormals::kFlushed);
    run_team(5, 1e9, [](Team& team) { team.share(10, [](int, int) {}); });
  }).join();
  std::atomic<int> helped{0};
  run_team(5, 1e9, [&](Team& team) { share_with_helpers(team, Denormals::kKept, &helped); });
}

}  // namespace
}  // namespace cavs

int main() {
  if (!cavs::can_flush_denormals()) {
    CHECK(!cavs::flush_denormals());
    CHECK_THROWS(cavs::set_flush_denormals(true), cavs::Error, "takes denormals for zero");
    return cavs_test::result();
  }
  cavs::test_scopes();
  cavs::test_setting();
  cavs::test_helpers();
  cavs::test_helpers_after_exceptions();
  cavs::test_creator_of_helpers_does_not_matter();
  return cavs_test::result();
}
