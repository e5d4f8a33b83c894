// Two emulated devices: memory, streams, events, modules and graphs of one are errors on the other;
// each has a limit of memory.
#include <cstdlib>
#include <functional>
#include <vector>

#include "check.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

const char* const kText =
    "extern \"C\" __global__ void copy(const float* x, float* out) {\n"
    "  out[threadIdx.x] = x[threadIdx.x];\n}\n";

void unstick() { reinterpret_cast<void (*)()>(emulator_function("cavs_emulator_unstick"))(); }
void limit_memory(size_t bytes) {
  reinterpret_cast<void (*)(size_t)>(emulator_function("cavs_emulator_limit_memory"))(bytes);
}

std::unique_ptr<Module> load(OpenGpu& open) {
  KernelSource source;
  source.name = "copy.cu";
  source.text = kText;
  return open.cache.load(source, open.gpu);
}

void expect(const char* text, const std::function<void()>& body) {
  std::string message = "nothing";
  try {
    body();
  } catch (const std::exception& error) {  // of memory: std::bad_alloc
    message = error.what();
  }
  if (message.find(text) == std::string::npos)
    cavs_test::report(__FILE__, __LINE__, std::string("expected ") + text + ", got " + message);
  unstick();
}

int device_of(const DeviceBlock& block) {
  int device = -1;
  check(driver().cuPointerGetAttribute(&device, 9, block.address()), "memory of a device");
  return device;
}

void test_each_works() {
  CHECK(gpu_count() == 2);
  for (const int ordinal : {1, 0}) {
    OpenGpu& open = open_gpu(ordinal);
    const auto module = load(open);
    const DeviceBlock x(open.stream, 256), out(open.stream, 256);
    CHECK(device_of(x) == ordinal);
    std::vector<float> values(64, 2.5F), found(64);
    open.stream.copy_to_device(x.address(), values.data(), 256);
    module->kernel("copy").launch(open.stream, {1, 64, 0}, x.address(), out.address());
    open.stream.copy_to_host(found.data(), out.address(), 256);
    open.stream.synchronize();
    CHECK(found == values);
  }
  int device = 0;
  float host = 0;
  CHECK(driver().cuPointerGetAttribute(&device, 9, reinterpret_cast<Address>(&host)) != 0);
}

void test_what_is_of_the_other_device() {
  OpenGpu& second = open_gpu(1);
  const DeviceBlock theirs(second.stream, 256);
  const Event event;
  const auto module_there = load(second);
  const auto graph = second.stream.capture([&] { second.stream.clear(theirs.address(), 256); });
  OpenGpu& first = open_gpu(0);
  const auto module = load(first);
  const DeviceBlock x(first.stream, 256);
  expect("of an allocation of 256 bytes of device 1", [&] {
    module->kernel("copy").launch(first.stream, {1, 64, 0}, theirs.address(), x.address());
    first.stream.synchronize();
  });
  expect("of an allocation of 256 bytes of device 1", [&] {
    module->kernel("copy").launch(first.stream, {1, 64, 0}, x.address(), theirs.address());
    first.stream.synchronize();
  });
  std::vector<float> values(64);
  expect("a copy to the device of device 0",
         [&] { first.stream.copy_to_device(theirs.address(), values.data(), 256); });
  expect("a copy from the device of device 0",
         [&] { first.stream.copy_to_host(values.data(), theirs.address(), 256); });
  expect("a copy on the device of device 0",
         [&] { first.stream.copy(x.address(), theirs.address(), 256); });
  expect("a fill of device 0", [&] { first.stream.clear(theirs.address(), 256); });
  expect("a stream of device 1, while device 0 is current",
         [&] { second.stream.clear(theirs.address(), 256); });
  expect("an event of device 1", [&] { first.stream.record(event); });
  expect("a graph of device 1", [&] { first.stream.launch(*graph); });
  expect("kernel 'copy' of device 1", [&] {
    module_there->kernel("copy").launch(first.stream, {1, 64, 0}, x.address(), x.address());
  });
  BlasHandle handle = nullptr;
  CHECK(blas().cublasCreate(&handle) == 0);
  CHECK(blas().cublasSetStream(handle, second.stream.handle()) != 0);
  CHECK(blas().cublasSetStream(handle, first.stream.handle()) == 0);
  const float one = 1;
  CHECK(blas().cublasSgemm(handle, 0, 0, 8, 8, 8, &one, theirs.as<float>(), 8, x.as<float>(), 8,
                           &one, x.as<float>(), 8) != 0);
  blas().cublasDestroy(handle);
  unstick();
  // A stream waits for an event of the other device.
  second.gpu.make_current();
  second.stream.clear(theirs.address(), 256);
  second.stream.record(event);
  first.gpu.make_current();
  first.stream.wait(event);
  first.stream.synchronize();
  // The host reads both again.
  const bool strict = std::getenv("CAVS_EMULATOR_STRICT") != nullptr;
  CHECK(strict || *theirs.as<volatile float>() == 0);
}

void test_a_limit_of_memory() {
  OpenGpu& open = open_gpu(0);
  size_t free = 0, total = 0;
  const DeviceBlock kept(open.stream, 1 << 20);
  limit_memory(4 << 20);
  check(driver().cuMemGetInfo(&free, &total), "sizes");
  CHECK(total == 4 << 20 && free == 3 << 20);
  check(driver().cuDeviceTotalMem(&total, 1), "sizes");
  CHECK(total == 4 << 20);
  expect("memory of the GPU for 3145729 bytes, got 3145728 bytes free of 4194304",
         [&] { const DeviceBlock block(open.stream, (3 << 20) + 1); });
  expect("memory of the GPU for an array, got 3145728 bytes free", [&] {
    Address address = 0;
    check(driver().cuMemAlloc(&address, (3 << 20) + 1), "an array");
  });
  {
    const DeviceBlock all(open.stream, 3 << 20);
    check(driver().cuMemGetInfo(&free, &total), "sizes");
    CHECK(free == 0);
    // The other device has its own.
    OpenGpu& second = open_gpu(1);
    const DeviceBlock there(second.stream, 4 << 20);
    open_gpu(0);
  }
  // What a stream is about to give back counts as free.
  const DeviceBlock again(open.stream, 3 << 20);
  limit_memory(0);
}

}  // namespace

int main() {
  if (!is_emulated()) return 0;
  setenv("CAVS_EMULATOR_DEVICES", "2", 1);
  test_each_works();
  test_what_is_of_the_other_device();
  test_a_limit_of_memory();
  CHECK_THROWS(open_gpu(2), Error, "expected a GPU in 0..1, got 2");
  return cavs_test::result();
}
