// Arenas, dynamic tensors and the planner.
#include <cstdio>
#include <cstring>
#include <random>

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
  Arena arena;
  const int64_t first = arena.allocate(1000);
  for (int i = 0; i < 1000; ++i) arena.data()[first + i] = static_cast<std::byte>(i % 251);
  const std::shared_ptr<Block> before = arena.block();
  const int64_t second = arena.allocate(16 << 20);
  CHECK(arena.block() != before);
  CHECK(second % kAlignment == 0 && second >= first + 1000);
  CHECK(aligned(arena.data()));
  bool same = true;
  for (int i = 0; i < 1000; ++i) {
    same = same && arena.data()[first + i] == static_cast<std::byte>(i % 251);
    same = same && before->data()[first + i] == static_cast<std::byte>(i % 251);
  }
  CHECK(same);
  CHECK(arena.capacity() >= arena.used());
  CHECK(arena.block()->bytes() >= arena.used() + kAlignment);
}

void test_arena_grows_geometrically() {
  Arena arena;
  int growths = 0;
  const Block* block = nullptr;
  for (int i = 0; i < 10000; ++i) {
    arena.allocate(100);
    if (arena.block().get() != block) ++growths;
    block = arena.block().get();
  }
  CHECK(growths < 40);
  const int64_t mark = arena.high_water();
  arena.reset();
  CHECK(arena.used() == 0 && arena.high_water() == mark && arena.epoch() == 1);
  arena.allocate(mark);
  CHECK(arena.block().get() == block);
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
  Arena arena;
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
  arena.data()[8 * size - 1] = std::byte{1};
  const std::shared_ptr<Block> view = arena.block();  // holds its place from now on
  const std::byte* data = view->data();
  arena.reserve(arena.capacity() + 1);
  CHECK(view->data() == data && data[0] == std::byte{7} && arena.data()[0] == std::byte{7});
  CHECK(arena.data() != data && arena.data()[8 * size - 1] == std::byte{1});
}

#endif

void test_pool_reuses() {
  ArenaPool pool;
  auto small = pool.take(0), large = pool.take(0);
  small->reserve(1000);
  large->reserve(100000);
  const Block *small_block = small->block().get(), *large_block = large->block().get();
  pool.give(std::move(large));
  pool.give(std::move(small));
  CHECK(pool.pooled_bytes() >= 101000);
  auto taken = pool.take(500);
  CHECK(taken->block().get() == small_block && taken->used() == 0);
  pool.give(std::move(taken));
  taken = pool.take(5000000);  // none is large enough: the largest grows
  CHECK(taken->block().get() == large_block);
  pool.clear();
  CHECK(pool.pooled_bytes() == 0);
}

void test_tensor_moves_when_it_grows() {
  Arena arena;
  DynamicTensor a(20, DType::kFloat32), b(3, DType::kFloat64);
  CHECK(a.ld == 32 && b.ld == 3);
  a.allocate(arena, 4);
  std::memset(a.data(arena), 7, static_cast<size_t>(a.bytes()));
  b.allocate(arena, 2);
  std::memset(b.data(arena), 9, static_cast<size_t>(b.bytes()));
  const int64_t a_offset = a.offset, b_offset = b.offset;
  b.grow(arena, 1000);
  CHECK(b.offset == b_offset);
  a.grow(arena, 5);
  CHECK(a.offset != a_offset && a.offset >= b.offset + b.bytes());
  for (int i = 0; i < 4 * 32 * 4; ++i) CHECK(a.data(arena)[i] == std::byte{7});
  for (int i = 0; i < 2 * 3 * 8; ++i) CHECK(b.data(arena)[i] == std::byte{9});
  CHECK_THROWS(a.grow(arena, -1), Error, "[memory]");
}

void test_plan_of_random_lifetimes() {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Lifetime> values;
    int64_t sum = 0;
    const int count = static_cast<int>(random() % 40);
    for (int i = 0; i < count; ++i) {
      const int first = static_cast<int>(random() % 10);
      const int last = first - 1 + static_cast<int>(random() % 6);
      values.push_back({static_cast<int64_t>(random() % 1000), first, last, -1});
      sum += align_up(values.back().bytes);
    }
    const MemoryPlan plan = plan_memory(values, 100);
    CHECK(plan.total <= align_up(100) + sum);
    for (int i = 0; i < count; ++i) {
      CHECK(plan.offsets[i] % kAlignment == 0 && plan.offsets[i] >= 100);
      for (int j = 0; j < i; ++j) {
        const bool together =
            values[i].first <= values[j].last && values[j].first <= values[i].last &&
            values[i].first <= values[i].last && values[j].first <= values[j].last;
        const bool apart = plan.offsets[i] + values[i].bytes <= plan.offsets[j] ||
                           plan.offsets[j] + values[j].bytes <= plan.offsets[i];
        CHECK(!together || apart || values[i].bytes == 0 || values[j].bytes == 0);
      }
    }
  }
}

void test_plan_around_fixed_values() {
  const MemoryPlan plan = plan_memory({{64, 0, 5, 128}, {128, 0, 1, -1}, {64, 0, 5, -1}});
  CHECK(plan.offsets[0] == 128);
  CHECK(plan.offsets[1] == 0);
  CHECK(plan.offsets[2] == 192);
  CHECK(plan.total == 256);
  CHECK_THROWS(plan_memory({{-1, 0, 0, -1}}), Error, "[planner]");
}

}  // namespace

int main() {
  test_arena_growth_keeps_contents();
  test_arena_grows_geometrically();
#if defined(__linux__)
  test_large_arena_grows_by_moving();
#endif
  test_pool_reuses();
  test_tensor_moves_when_it_grows();
  test_plan_of_random_lifetimes();
  test_plan_around_fixed_values();
  CHECK_THROWS(device_allocator(Device::kCuda), Error, "not built");
  return cavs_test::result();
}
