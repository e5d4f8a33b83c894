// Arenas, dynamic tensors and the planner.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "memory/arena.h"
#include "memory/dynamic_tensor.h"
#include "memory/planner.h"

#if defined(__linux__)
#include <unistd.h>
#endif

using namespace cavs;

namespace {

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0; }

void test_arena_growth_keeps_contents() {
  Arena arena(host_allocator());
  CHECK(arena.data() == nullptr && arena.capacity() == 0);
  for (const int64_t bytes : {int64_t{1000}, int64_t{5000}, int64_t{16} << 20, int64_t{64} << 20}) {
    const int64_t before = arena.used();
    arena.reserve(bytes);
    CHECK(aligned(arena.data()));
    CHECK(arena.used() == bytes && arena.capacity() >= bytes);
    bool same = true;
    for (int64_t i = 0; i < before; ++i) {
      same = same && arena.data()[i] == static_cast<std::byte>(i % 251);
    }
    CHECK(same);
    for (int64_t i = before; i < bytes; ++i) arena.data()[i] = static_cast<std::byte>(i % 251);
  }
  arena.reserve(10);  // less is there already
  CHECK(arena.used() == int64_t{64} << 20);
}

void test_arena_grows_geometrically() {
  Arena arena(host_allocator());
  int growths = 0;
  int64_t capacity = 0;
  for (int64_t i = 1; i <= 10000; ++i) {
    arena.reserve(100 * i);
    if (arena.capacity() != capacity) ++growths;
    capacity = arena.capacity();
  }
  CHECK(growths < 40);
  const std::byte* data = arena.data();
  arena.reset();
  CHECK(arena.used() == 0 && arena.capacity() == capacity);
  arena.reserve(100 * 10000);
  CHECK(arena.data() == data && arena.capacity() == capacity);
}

void test_no_memory() {
  Arena arena(host_allocator());
  CHECK_THROWS(arena.reserve(-1), Error, "0 or more bytes, got -1");
  arena.reserve(100);
  CHECK_THROWS(arena.reserve(int64_t{1} << 45), std::bad_alloc, "32.0 TiB (351843720888");
  CHECK_THROWS(arena.reserve(std::numeric_limits<int64_t>::max()), std::bad_alloc, "8.0 EiB");
  CHECK(arena.used() == 100 && arena.capacity() >= 100);  // as it was
  CHECK_THROWS(checked_bytes(1 << 30, 1 << 20, 8), std::bad_alloc, "(9007199254740992 bytes)");
  CHECK_THROWS(checked_bytes(int64_t{1} << 40, int64_t{1} << 40, 8), std::bad_alloc, "8.0 EiB");
  CHECK_THROWS(plan_memory({{int64_t{1} << 48, 0, 1, -1}, {int64_t{1} << 48, 0, 1, -1}}),
               std::bad_alloc, "512.0 TiB");
}

#if defined(__linux__)

// Bytes of the process that are in memory.
int64_t resident() {
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  CHECK(file != nullptr && std::fscanf(file, "%*d %ld", &pages) == 1);
  std::fclose(file);
  return pages * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
}

// The pages of a large block get other addresses: nothing is copied, and what is new is not there
// before it is written.
void test_large_arena_grows_by_moving() {
  constexpr int64_t size = 16 << 20;
  Arena arena(host_allocator());
  arena.reserve(size);
  std::memset(arena.data(), 7, size);
  const int64_t before = resident();
  for (int64_t bytes = size; bytes <= 8 * size; bytes += size) {
    arena.reserve(bytes);
    CHECK(reinterpret_cast<uintptr_t>(arena.data()) % (2 << 20) == 0);
    CHECK(resident() < before + size / 4);
  }
  bool same = true;
  for (int64_t i = 0; i < size; ++i) same = same && arena.data()[i] == std::byte{7};
  CHECK(same);
}

#endif

void test_pool_reuses() {
  ArenaPool pool(host_allocator());
  auto small = pool.take(0), large = pool.take(0);
  small->reserve(1000);
  large->reserve(100000);
  const Arena *small_arena = small.get(), *large_arena = large.get();
  pool.give(std::move(large));
  pool.give(std::move(small));
  CHECK(pool.pooled_bytes() >= 101000);
  auto taken = pool.take(500);
  CHECK(taken.get() == small_arena && taken->used() == 0);
  pool.give(std::move(taken));
  taken = pool.take(5000000);  // none is large enough: the largest grows
  CHECK(taken.get() == large_arena);
  pool.clear();
  CHECK(pool.pooled_bytes() == 0);
  for (int i = 1; i <= 20; ++i) {
    auto arena = std::make_unique<Arena>(host_allocator());
    arena->reserve(i << 20);
    pool.give(std::move(arena));
  }
  CHECK(pool.take(0)->capacity() >= 13 << 20);  // the largest eight are kept
}

void test_forms_of_values() {
  for (const auto& [size, ld] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {15, 15}, {16, 16}, {17, 32}, {300, 304}}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32}) {
      DynamicTensor form(size, dtype);
      CHECK(form.ld == ld && form.bytes() == 0);
      form.rows = 5;
      CHECK(form.bytes() == 5 * ld * item_size(dtype));
      form.ld = 0;  // without rows: once, densely
      CHECK(form.bytes() == size * item_size(dtype));
    }
  }
}

bool alive(const Lifetime& value) { return value.first <= value.last; }

// What every plan must hold.
void check_plan(const std::vector<Lifetime>& values, const MemoryPlan& plan, int64_t start) {
  CHECK(plan.offsets.size() == values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Lifetime& value = values[i];
    if (!alive(value) || value.bytes == 0) continue;
    if (value.offset >= 0) CHECK(plan.offsets[i] == value.offset);
    if (value.offset < 0) CHECK(plan.offsets[i] % kAlignment == 0 && plan.offsets[i] >= start);
    CHECK(plan.offsets[i] + value.bytes <= plan.total);
    for (size_t j = 0; j < i; ++j) {
      const Lifetime& other = values[j];
      if (!alive(other) || other.bytes == 0) continue;
      const bool together = value.first <= other.last && other.first <= value.last;
      const bool apart = plan.offsets[i] + value.bytes <= plan.offsets[j] ||
                         plan.offsets[j] + other.bytes <= plan.offsets[i];
      CHECK(!together || apart);
    }
  }
}

std::vector<Lifetime> random_lifetimes(std::mt19937& random, int64_t most_bytes) {
  std::vector<Lifetime> values;
  const int count = static_cast<int>(random() % 40);
  for (int i = 0; i < count; ++i) {
    const int first = static_cast<int>(random() % 12);
    const int last = first - 1 + static_cast<int>(random() % 8);
    const auto bytes = static_cast<int64_t>(random() % static_cast<unsigned>(most_bytes));
    values.push_back({random() % 8 == 0 ? 0 : bytes, first, last, -1});
  }
  return values;
}

// Small plans, and large ones, of which two are made.
void test_plan_of_random_lifetimes() {
  std::mt19937 random(1);
  for (int trial = 0; trial < 400; ++trial) {
    const auto values = random_lifetimes(random, trial % 2 == 0 ? 5000 : 4 << 20);
    const int64_t start = trial % 3 == 0 ? 0 : align_up(100);
    const MemoryPlan plan = plan_memory(values, start == 0 ? 0 : 100);
    check_plan(values, plan, start);
    int64_t sum = 0, most = 0;
    for (const Lifetime& value : values) sum += alive(value) ? align_up(value.bytes) : 0;
    for (int step = 0; step < 20; ++step) {
      int64_t at_once = 0;
      for (const Lifetime& value : values) {
        if (value.first <= step && step <= value.last) at_once += align_up(value.bytes);
      }
      most = std::max(most, at_once);
    }
    CHECK(plan.total >= start + most && plan.total <= start + sum);
  }
}

void test_plan_leaves_placed_values_where_they_are() {
  std::mt19937 random(2);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Lifetime> values = random_lifetimes(random, 5000);
    const MemoryPlan before = plan_memory(values);
    for (size_t i = 0; i < values.size(); ++i) values[i].offset = before.offsets[i];
    const auto more = random_lifetimes(random, 5000);
    values.insert(values.end(), more.begin(), more.end());
    check_plan(values, plan_memory(values), 0);
  }
}

// What is alive at the step `kept` and after it stands below all else.
void test_plan_keeps_what_lasts_together() {
  std::mt19937 random(3);
  constexpr int kKept = 8;
  for (int trial = 0; trial < 200; ++trial) {
    const auto values = random_lifetimes(random, 5000);
    const MemoryPlan plan = plan_memory(values, 0, kKept);
    check_plan(values, plan, 0);
    std::vector<Lifetime> lasting;
    std::vector<size_t> which;
    for (size_t i = 0; i < values.size(); ++i) {
      if (!alive(values[i]) || values[i].last < kKept) continue;
      lasting.push_back(values[i]);
      which.push_back(i);
    }
    const MemoryPlan alone = plan_memory(lasting, 0, kKept);
    for (size_t i = 0; i < which.size(); ++i) CHECK(plan.offsets[which[i]] == alone.offsets[i]);
  }
}

void test_plans_of_known_size() {
  CHECK(plan_memory({}).total == 0);
  std::vector<Lifetime> chain;
  for (int step = 0; step < 50; ++step) chain.push_back({1000, step, step + 1, -1});
  CHECK(plan_memory(chain).total == 2 * align_up(1000));
  // Taken by size, the value of the last two steps fills the hole of 6 at the start, which the two
  // of 3 need at step 2, when most is alive.
  constexpr int64_t unit = 1 << 20;
  const std::vector<Lifetime> values = {{6 * unit, 0, 1, 0},  {20 * unit, 0, 4, 6 * unit},
                                        {4 * unit, 3, 4, -1}, {3 * unit, 2, 3, -1},
                                        {3 * unit, 2, 3, -1}, {7 * unit, 2, 2, -1}};
  const MemoryPlan plan = plan_memory(values);
  check_plan(values, plan, 0);
  CHECK(plan.total == 33 * unit);
}

void test_plan_around_fixed_values() {
  const MemoryPlan plan = plan_memory({{64, 0, 5, 128}, {128, 0, 1, -1}, {64, 0, 5, -1}});
  CHECK(plan.offsets[0] == 128);
  CHECK(plan.offsets[1] == 0);
  CHECK(plan.offsets[2] == 192);
  CHECK(plan.total == 256);
  CHECK_THROWS(plan_memory({{-1, 0, 0, -1}}), Error, "got -1 for value 0");
  CHECK_THROWS(plan_memory({{1, -1, 0, -1}}), Error, "number steps from 0");
}

}  // namespace

int main() {
  test_arena_growth_keeps_contents();
  test_arena_grows_geometrically();
#if defined(__linux__)
  test_large_arena_grows_by_moving();
#endif
  test_pool_reuses();
  test_forms_of_values();
  test_no_memory();
  test_plan_of_random_lifetimes();
  test_plan_leaves_placed_values_where_they_are();
  test_plan_keeps_what_lasts_together();
  test_plans_of_known_size();
  test_plan_around_fixed_values();
  return cavs_test::result();
}
