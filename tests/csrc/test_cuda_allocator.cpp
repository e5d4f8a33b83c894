// Memory that is given back is waited for where another stream may still use it.
#include <functional>

#include "check.h"
#include "cuda/allocator.h"
#include "cuda/current_stream.h"
#include "cuda/driver.h"

using namespace cavs;

namespace {

// How often the emulated driver waited for the device.
int64_t waits(const std::function<void()>& body) {
  const auto ask = reinterpret_cast<int (*)(int64_t*, int, int)>(
      cuda::emulator_function("cavs_emulator_counts"));
  int64_t counts[11] = {};  // see Counts in its emulator.h; synchronizations are the last
  ask(counts, 11, 1);
  body();
  ask(counts, 11, 1);
  return counts[10];
}

void test_streams_of_memory() {
  cuda::OpenGpu& open = cuda::open_gpu(0);
  cuda::GpuAllocator memory(open);
  const cuda::Stream first, second;
  void* data = nullptr;
  const auto take = [&](const cuda::Stream& stream) {
    cuda::set_current_stream(0, stream.handle());
    return waits([&] { data = memory.allocate(1000); });
  };
  const auto give = [&](const cuda::Stream& stream) {
    cuda::set_current_stream(0, stream.handle());
    CHECK(waits([&] { memory.deallocate(data, 1000); }) == 0);
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
  memory.trim();
  cuda::reset_current_stream(0);
}

}  // namespace

int main() {
  if (cuda::emulator_function("cavs_emulator_counts") == nullptr) return 0;  // nothing counts
  test_streams_of_memory();
  return cavs_test::result();
}
