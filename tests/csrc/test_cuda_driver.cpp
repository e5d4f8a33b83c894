// What is said where there is no driver, none that can be used, no GPU of a number, or a process
// that was forked too late. Each case has a process of its own, since a driver is opened once.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "check.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

void in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    cavs_test::failures = 0;
    body();
    _exit(cavs_test::failures == 0 ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  std::fprintf(stderr, "no '%s' in '%s'\n", part.c_str(), text.c_str());
  return false;
}

// All that can be asked without a driver gives this reason, twice.
void expect_reason(const std::string& part, const std::string& what_to_do) {
  for (int round = 0; round < 2; ++round) {
    const std::string reason = why_not();
    CHECK(contains(reason, "[cuda] expected "));
    CHECK(contains(reason, part));
    CHECK(contains(reason, what_to_do));
    CHECK(reason.find('\n') == std::string::npos);
    CHECK(gpu_count() == 0);
    CHECK_THROWS(open_gpu(0), Error, part);
  }
}

void test_no_driver_that_can_be_used() {
  const std::string good = std::getenv("CAVS_CUDA_DRIVER");
  const auto with_driver = [](const char* path, const char* part) {
    in_child([=] {
      setenv("CAVS_CUDA_DRIVER", path, 1);
      expect_reason(part, "unset CAVS_CUDA_DRIVER");
    });
  };
  with_driver("/nowhere/libcuda.so",
              "expected an emulated driver in CAVS_CUDA_DRIVER, got '/nowhere");
  with_driver("libm.so.6", "with the function cuDriverGetVersion");
  with_driver("/proc/self/exe", "CAVS_CUDA_DRIVER");
  in_child([] {
    setenv("CAVS_EMULATOR_VERSION", "11040", 1);
    expect_reason("for CUDA 12.0 or newer, got one for 11.4", "install NVIDIA's driver");
  });
  in_child([] {
    setenv("CAVS_EMULATOR_DEVICES", "0", 1);
    expect_reason("expected a GPU, got a driver that sees none", "CUDA_VISIBLE_DEVICES");
  });
  // What was missing may come: only that a GPU can be used is kept.
  in_child([good] {
    setenv("CAVS_CUDA_DRIVER", "/nowhere", 1);
    CHECK(!why_not().empty());
    setenv("CAVS_CUDA_DRIVER", good.c_str(), 1);
    CHECK(why_not().empty());
    CHECK(gpu_count() == 1);
    // An opened driver stays.
    setenv("CAVS_CUDA_DRIVER", "/nowhere", 1);
    CHECK(why_not().empty() && is_emulated());
    open_gpu(0);
  });
}

void test_no_driver() {
  in_child([] {
    unsetenv("CAVS_CUDA_DRIVER");
    CHECK(!is_emulated());
    const std::string reason = why_not();
    if (reason.empty()) return;  // a GPU is here
    CHECK(contains(reason, "[cuda] expected "));
    CHECK(contains(reason, "; "));
    CHECK(gpu_count() == 0);
    CHECK_THROWS(open_gpu(0), Error, "[cuda] expected ");
  });
}

// Drivers before 12.4 do not say what a kernel's arguments are: launches go unchecked there.
void test_driver_without_parameter_info() {
  in_child([] {
    setenv("CAVS_EMULATOR_VERSION", "12020", 1);
    OpenGpu& open = open_gpu(0);
    KernelSource source;
    source.name = "put.cu";
    source.text = "extern \"C\" __global__ void put(int* to, int value) { *to = value; }\n";
    const auto module = open.cache.load(source, open.gpu);
    const DeviceBlock block(open.stream, sizeof(int));
    module->kernel("put").launch(open.stream, {1, 1, 0}, block.address(), 7);
    int found = 0;
    open.stream.copy_to_host(&found, block.address(), sizeof(found));
    open.stream.synchronize();
    CHECK(found == 7);
  });
}

void test_wrong_numbers() {
  in_child([] {
    CHECK_THROWS(open_gpu(1), Error, "expected a GPU in 0..0, got 1");
    CHECK_THROWS(open_gpu(-1), Error, "expected a GPU in 0..0, got -1");
    CHECK_THROWS(open_gpu(1), Error, "expected a GPU in 0..0, got 1");
    open_gpu(0);
  });
}

// The child's calls are errors, its objects can end, and the parent goes on.
void test_fork() {
  in_child([] {
    OpenGpu& open = open_gpu(0);
    auto* block = new DeviceBlock(open.stream, 256);
    auto* pinned = new PinnedBlock(256);
    auto* event = new Event;
    in_child([&] {
      CHECK(is_forked());
      const char* what = "forked after its parent's first call of CUDA";
      CHECK(contains(why_not(), what));
      CHECK(gpu_count() == 0);
      CHECK_THROWS(open_gpu(0), Error, what);
      CHECK_THROWS(open_gpu(1), Error, what);
      CHECK_THROWS(open.gpu.make_current(), Error, what);
      CHECK_THROWS(open.stream.synchronize(), Error, what);
      CHECK_THROWS(open.stream.record(*event), Error, what);
      CHECK_THROWS(DeviceBlock(open.stream, 8), Error, what);
      BlasHandle handle = nullptr;
      CHECK(blas().cublasCreate(&handle) != 0);
      delete block;
      delete pinned;
      delete event;
    });
    CHECK(!is_forked() && why_not().empty());
    open.stream.clear(block->address(), 256);
    open.stream.synchronize();
    delete block;
    delete pinned;
    delete event;
  });
  // A child that is the first to call is no matter.
  in_child([] { in_child([] { open_gpu(0); }); });
}

}  // namespace

int main() {
  if (std::getenv("CAVS_CUDA_DRIVER") == nullptr) return 0;
  test_no_driver_that_can_be_used();
  test_no_driver();
  test_driver_without_parameter_info();
  test_wrong_numbers();
  test_fork();
  return cavs_test::result();
}
