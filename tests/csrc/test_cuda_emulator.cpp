// The emulated driver says of each mistake what it is: those that a GPU reports too, those that
// ruin a GPU's context, and those that a GPU lets pass.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "check.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

const char* const kMistakes[][2] = {
#include "mistakes.inc"
};

std::string order() {
  const char* chosen = std::getenv("CAVS_EMULATOR_ORDER");
  return chosen == nullptr ? "forward" : chosen;
}
bool is_immediate() { return std::getenv("CAVS_EMULATOR_IMMEDIATE") != nullptr; }

KernelSource source_of(const char* name, const char* text) {
  KernelSource source;
  source.name = name;
  source.text = text;
  return source;
}

void unstick() { reinterpret_cast<void (*)()>(emulator_function("cavs_emulator_unstick"))(); }

class Mistakes {
 public:
  Mistakes()
      : open_(open_gpu(0)),
        stream_(open_.stream),
        module_(open_.cache.load(source_of(kMistakes[0][0], kMistakes[0][1]), open_.gpu)),
        x_(stream_, 256),
        out_(stream_, 256) {
    clear();
  }

  void run() {
    arguments();
    memory();
    barriers();
    faults();
    streams();
    missing_barrier();
    texts();
    // After all this the device works.
    clear();
    launch("counts_up", {3, 64, 0}, x_.address());
    std::vector<int> values(64);
    stream_.copy_to_host(values.data(), x_.address(), 256);
    stream_.synchronize();
    CHECK(values[0] == 3 * 64 * 32);
  }

 private:
  void clear() {
    stream_.clear(x_.address(), x_.bytes());
    stream_.synchronize();
  }
  template <class... Arguments>
  void launch(const char* name, const Shape& shape, const Arguments&... arguments) {
    module_->kernel(name).launch(stream_, shape, arguments...);
  }
  // The body, and all that waits in the stream, fails with a message that holds the text.
  void expect(const char* text, const std::function<void()>& body) {
    std::string message = "nothing";
    try {
      body();
      stream_.synchronize();
    } catch (const Error& error) {
      message = error.what();
      CHECK(error.kind() == ErrorKind::kDevice);
    }
    if (message.find(text) == std::string::npos) {
      cavs_test::report(__FILE__, __LINE__, std::string("expected ") + text + ", got " + message);
    }
    unstick();
  }

  // What a GPU's driver reports too.
  void arguments() {
    const Address x = x_.address();
    expect("a launch of 'race'", [&] { launch("race", {1, 2048, 0}, x); });
    expect("__launch_bounds__(128)", [&] { launch("bounded", {1, 256, 0}, x); });
    expect("of no blocks or no threads", [&] { launch("race", {0, 64, 0}, x); });
    expect("a kernel 'absent'", [&] { launch("absent", {1, 64, 0}, x); });
    expect("2 arguments of kernel 'early_return'", [&] { launch("early_return", {1, 64, 0}, x); });
    expect("4 bytes for argument 1", [&] { launch("early_return", {1, 64, 0}, x, 60LL); });
    expect("bytes of shared memory, of at most", [&] { launch("race", {1, 64, 300 * 1024}, x); });
    expect("too many blocks", [&] {
      module_->kernel("waits_for_another_block").launch_together(stream_, {999, 32, 0}, x);
    });
    expect("CUDA_ERROR_INVALID_VALUE", [&] {
      const std::vector<float> values(65);
      stream_.copy_to_device(x, values.data(), values.size() * sizeof(float));
    });
    expect("a fill of 257 bytes", [&] { stream_.clear(x, 257); });
    expect("an allocation of 0 bytes", [&] {
      Address none = 0;
      check(driver().cuMemAlloc(&none, 0), "memory");
    });
  }

  void memory() {
    expect("byte 256 of an allocation of 256 bytes",
           [&] { launch("outside", {1, 64, 0}, x_.address(), out_.address(), 1); });
    expect("that was given back", [&] {
      const Address gone = DeviceBlock(stream_, 256).address();
      launch("outside", {1, 64, 0}, gone, out_.address(), 0);
    });
    expect("given back twice", [&] {
      Address twice = 0;
      check(driver().cuMemAlloc(&twice, 64), "memory");
      check(driver().cuMemFree(twice), "memory that is given back once");
      check(driver().cuMemFree(twice), "memory that is given back once");
    });
    expect("nothing was allocated at", [&] { check(driver().cuMemFree(4096), "memory"); });
    expect("an index outside of its array",
           [&] { launch("past_shared", {1, 64, 0}, x_.address()); });
    expect("of 128 bytes of dynamic shared memory",
           [&] { launch("past_dynamic_shared", {1, 64, 128}, x_.address()); });
  }

  void barriers() {
    const Address x = x_.address();
    expect("never reach", [&] { launch("early_return", {1, 64, 0}, x, 60); });
    expect("others of the block wait at the barrier",
           [&] { launch("two_barriers", {1, 64, 0}, x); });
    expect("lanes that never come", [&] { launch("half_warp", {1, 32, 0}, x); });
    expect("its mask leaves out its own lane", [&] { launch("not_in_its_mask", {1, 32, 0}, x); });
    expect("names lane", [&] { launch("half_warp", {1, 20, 0}, x); });
    expect("not cooperative", [&] {
      clear();
      launch("waits_for_another_block", {2, 32, 0}, x);
    });
  }

  void faults() {
    clear();
    expect("an integer was divided by zero", [&] { launch("divides", {1, 64, 0}, x_.address()); });
    expect("the stack is full", [&] { launch("fills_the_stack", {1, 1, 0}, x_.address()); });
    expect("assert(x[threadIdx.x] == 1)", [&] { launch("asserts", {1, 64, 0}, x_.address()); });
    expect("__trap()", [&] { launch("traps", {1, 64, 0}, x_.address()); });
    // In another thread too, whose stack for signals is its own.
    expect("the stack is full", [&] {
      in_another_thread([&] {
        open_gpu(0);
        launch("fills_the_stack", {1, 1, 0}, x_.address());
        stream_.synchronize();
      });
    });
    // Until unstick, every call fails, as on a GPU after such a fault.
    bool stuck = false;
    try {
      launch("traps", {1, 64, 0}, x_.address());
      stream_.synchronize();
    } catch (const Error&) {
      try {
        stream_.clear(x_.address(), 4);
      } catch (const Error&) {
        stuck = true;
      }
    }
    CHECK(stuck);
    unstick();
  }

  static void in_another_thread(const std::function<void()>& body) {
    std::exception_ptr error;
    std::thread([&] {
      try {
        body();
      } catch (...) {
        error = std::current_exception();
      }
    }).join();
    if (error) std::rethrow_exception(error);
  }

  void streams() {
    expect("CUDA_ERROR_INVALID_CONTEXT",
           [&] { in_another_thread([&] { stream_.clear(x_.address(), 4); }); });
    expect("captur", [&] { stream_.capture([&] { stream_.synchronize(); }); });
    expect("an allocation (take it before)",
           [&] { stream_.capture([&] { const DeviceBlock block(stream_, 64); }); });
    expect("a stream that does not exist", [&] {
      StreamHandle gone = nullptr;
      {
        gone = Stream().handle();
      }
      Stream(gone).clear(x_.address(), 4);
    });
    if (is_immediate()) return;
    expect("gone when the stream came", [&] {
      const PinnedBlock pinned(256);
      stream_.copy_to_device(x_.address(), pinned.data(), 256);
    });
    // The copy takes what stands there when it runs.
    const PinnedBlock pinned(256);
    std::memset(pinned.data(), 0, 256);
    stream_.copy_to_device(x_.address(), pinned.data(), 256);
    std::memset(pinned.data(), 0x40, 256);
    CHECK(download()[0] != 0);
    waits_of_streams_in_a_ring();
  }

  // `a` waits for `b`, which waits for `c`, whose later work waits for the later work of `a`: a
  // wait does what it waits for and no more.
  void waits_of_streams_in_a_ring() {
    const Stream b, c;
    const Event by_a, by_b, by_c;
    const PinnedBlock old(256), made(256);
    std::memset(old.data(), 0, 256);
    std::memset(made.data(), 0x40, 256);
    stream_.copy_to_device(x_.address(), old.data(), 256);
    stream_.synchronize();
    c.record(by_c);
    b.wait(by_c);
    b.copy_to_device(x_.address(), made.data(), 256);
    b.record(by_b);
    stream_.wait(by_b);
    stream_.copy(out_.address(), x_.address(), 256);
    stream_.record(by_a);
    c.wait(by_a);
    std::vector<float> values(64);
    stream_.copy_to_host(values.data(), out_.address(), 256);
    stream_.synchronize();
    CHECK(values[0] != 0);
    c.synchronize();
  }

  std::vector<float> download() {
    std::vector<float> values(64);
    stream_.copy_to_host(values.data(), x_.address(), 256);
    stream_.synchronize();
    return values;
  }

  // It is seen only in an order other than that of the threads' numbers.
  void missing_barrier() {
    launch("race", {1, 64, 0}, x_.address());
    const auto values = download();
    bool right = true;
    for (int i = 0; i < 64; ++i)
      right = right && values[static_cast<size_t>(i)] == static_cast<float>(std::max(i - 1, 0));
    CHECK(right == (order() == "forward"));
  }

  // What a GPU's compiler refuses too, but for the last two.
  void texts() {
    const auto compiles = [&](const char* text) {
      open_.cache.load(source_of("wrong.cu", text), open_.gpu);
    };
    expect("missing",
           [&] { compiles("extern \"C\" __global__ void f(float* x) {\n  x[0] = missing;\n}\n"); });
    expect("wrong.cu",
           [&] { compiles("extern \"C\" __global__ void f(float* x) { x[0] = ; }\n"); });
    expect("vector", [&] { compiles("#include <vector>\nint f();\n"); });
    expect("no atomicAdd of floats",
           [&] { compiles("extern \"C\" __global__ void f(float* x) { atomicAdd(x, 1.0f); }\n"); });
    expect("no atomicAdd of floats",
           [&] { compiles("extern \"C\" __global__ void f(double* x) { atomicAdd(x, 1.0); }\n"); });
  }

  OpenGpu& open_;
  const Stream& stream_;
  std::unique_ptr<Module> module_;
  const DeviceBlock x_, out_;
};

}  // namespace

int main() {
  if (!is_emulated()) return 0;
  Mistakes().run();
  return cavs_test::result();
}
