// Memory that is kept: who waits for whom when it is taken again, and pools of other libraries.
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

#include "check.h"
#include "cuda/driver/allocator.h"
#include "cuda/driver/current_stream.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

constexpr int64_t kBytes = 1024;

Address address_of(const Block& block) { return reinterpret_cast<Address>(block.data()); }

void fill(const Stream& stream, const Block& block, unsigned char value) {
  check(driver().cuMemsetD8Async(address_of(block), value, kBytes, stream.handle()), "a fill");
}

unsigned char first_byte(const Stream& stream, const Block& block) {
  unsigned char found = 0;
  stream.copy_to_host(&found, address_of(block), 1);
  stream.synchronize();
  return found;
}

// How often the emulated driver waited for the device.
int64_t waits(const std::function<void()>& body) {
  const auto ask =
      reinterpret_cast<int (*)(int64_t*, int, int)>(emulator_function("cavs_emulator_counts"));
  int64_t counts[11] = {};  // see Counts in its emulator.h; synchronizations are the last
  ask(counts, 11, 1);
  body();
  ask(counts, 11, 1);
  return counts[10];
}

void test_what_is_waited_for() {
  if (emulator_function("cavs_emulator_counts") == nullptr) return;  // nothing counts
  OpenGpu& open = open_gpu(0);
  GpuAllocator allocator(open);
  const Stream first, second;
  void* data = nullptr;
  const auto take = [&](const Stream& stream) {
    set_current_stream(0, stream.handle());
    return waits([&] { data = allocator.allocate(1000); });
  };
  const auto give = [&](const Stream& stream) {
    set_current_stream(0, stream.handle());
    CHECK(waits([&] { allocator.deallocate(data, 1000); }) == 0);
  };
  take(first);
  give(first);
  CHECK(take(first) == 0);  // its work comes first
  give(first);
  CHECK(take(second) == 1);
  give(first);  // taken on `second`, which may still use it
  CHECK(take(first) == 1);
  give(first);
  CHECK(take(first) == 0);
  give(first);
  allocator.trim();
  reset_current_stream(0);
}

// Work on `first` uses memory that ends, and is taken again, while `second` is current.
void test_memory_that_ends_on_another_stream() {
  OpenGpu& open = open_gpu(0);
  GpuAllocator allocator(open);
  const Stream first, second;
  set_current_stream(0, first.handle());
  auto block = std::make_unique<Block>(allocator, kBytes);
  const Address where = address_of(*block);
  fill(first, *block, 1);
  set_current_stream(0, second.handle());
  block.reset();
  const Block again(allocator, kBytes);
  CHECK(address_of(again) == where);
  fill(second, again, 2);
  CHECK(first_byte(second, again) == 2);
  first.synchronize();
  CHECK(first_byte(second, again) == 2);
  reset_current_stream(0);
}

void test_streams_that_are_the_same() {
  const auto handle = [](uintptr_t name) { return reinterpret_cast<StreamHandle>(name); };
  CHECK(same_stream(handle(1), handle(1)) && !same_stream(handle(1), handle(3)));
  CHECK(!same_stream(handle(2), handle(2)));  // another one in each thread
}

// A pool's function may end arrays, which gives memory back.
GpuAllocator* allocator_of_pool = nullptr;
int released = 0;
void test_a_pool_that_gives_memory_back() {
  alarm(60);  // in place of a deadlock
  OpenGpu& open = open_gpu(0);
  GpuAllocator allocator(open);
  allocator_of_pool = &allocator;
  set_memory_pool({[](int, size_t bytes) {
                     Address address = 0;
                     check(driver().cuMemAlloc(&address, bytes), "memory");
                     return address;
                   },
                   [](int, Address address) {
                     CHECK(allocator_of_pool->kept_bytes() == 0);
                     driver().cuMemFree(address);
                     ++released;
                   }});
  {
    const Block one(allocator, kBytes), other(allocator, 2 * kBytes);
  }
  CHECK(allocator.kept_bytes() == 3 * kBytes);
  allocator.trim();
  CHECK(released == 2 && allocator.kept_bytes() == 0);
  set_memory_pool({});
  alarm(0);
}

// CUDA refuses to wait for a device while a stream of it is captured, and ends the capture.
void test_waiting_while_another_thread_captures() {
  OpenGpu& open = open_gpu(0);
  GpuAllocator allocator(open);
  const Block block(allocator, kBytes);
  std::thread other;
  std::unique_ptr<Graph> graph;
  {
    const std::lock_guard<std::mutex> guard(open.capture_mutex);
    graph = open.capturing.capture([&] {
      other = std::thread([&] {
        open_gpu(0);
        open.synchronize();
      });
      usleep(20000);  // the other thread is at its wait, most likely
      fill(open.capturing, block, 3);
    });
  }
  other.join();
  open.stream.launch(*graph);
  CHECK(first_byte(open.stream, block) == 3);
  if (!is_emulated()) return;
  CHECK_THROWS(open.capturing.capture([&] {
    CHECK_THROWS(open.gpu.synchronize(), Error, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED");
  }),
               Error, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED");
}

}  // namespace

int main() {
  if (!why_not().empty()) return 0;
  test_what_is_waited_for();
  test_memory_that_ends_on_another_stream();
  test_streams_that_are_the_same();
  test_a_pool_that_gives_memory_back();
  test_waiting_while_another_thread_captures();
  return cavs_test::result();
}
