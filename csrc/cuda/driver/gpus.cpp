// Opens GPUs, once each.
#include "cuda/driver/gpus.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "base/everlasting.h"

namespace cavs::cuda {
namespace {

struct Opened {
  std::mutex mutex;
  std::map<int, std::unique_ptr<OpenGpu>> gpus;
};

int count_gpus() {
  constexpr Result kNoDevice = 100;
  const Result code = driver().cuInit(0);
  if (code != kNoDevice) check(code, "a driver that starts");
  int count = 0;
  if (code == 0) check(driver().cuDeviceGetCount(&count), "the number of GPUs");
  return count;
}

// So that a GPU that can be used is not looked for again and again.
std::atomic<bool> usable{false};

}  // namespace

std::string why_not() {
  if (usable && !is_forked()) return "";
  try {
    if (count_gpus() == 0) {
      return "[cuda] expected a GPU, got a driver that sees none; run nvidia-smi, and look at "
             "CUDA_VISIBLE_DEVICES";
    }
    nvrtc();
    usable = true;
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

int gpu_count() {
  try {
    return why_not().empty() ? count_gpus() : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

OpenGpu::OpenGpu(int number)
    : ordinal(number), gpu(number), stream(), cache(KernelCache::default_folder()) {
  keep_freed_memory(gpu, number);
}

void OpenGpu::synchronize() {
  const std::lock_guard<std::mutex> guard(capture_mutex);
  gpu.synchronize();
}

OpenGpu& open_gpu(int ordinal) {
  // Before the lock, which another thread of the parent may have held.
  if (is_forked()) check(driver().cuInit(0), "a process that may use the GPU");
  auto& opened = everlasting<Opened>();
  const std::lock_guard<std::mutex> guard(opened.mutex);
  auto& found = opened.gpus[ordinal];
  if (!found) {
    const std::string reason = why_not();
    if (!reason.empty()) throw Error(ErrorKind::kDevice, reason);
    found = std::make_unique<OpenGpu>(ordinal);
  }
  found->gpu.make_current();
  return *found;
}

CurrentGpu::CurrentGpu(int ordinal)
    : before_(usable && !is_forked() ? current_context() : nullptr), open_(open_gpu(ordinal)) {}

CurrentGpu::~CurrentGpu() {
  if (before_ != nullptr && before_ != open_.gpu.context()) driver().cuCtxSetCurrent(before_);
}

}  // namespace cavs::cuda
