// Opens GPUs, once each.
#include "cuda/gpus.h"

#include <map>
#include <memory>
#include <mutex>

namespace cavs::cuda {
namespace {

// Never destroyed: native calls may go on while the process ends.
struct Opened {
  std::mutex mutex;
  std::map<int, std::unique_ptr<OpenGpu>> gpus;
};
Opened& opened() {
  static auto* const opened = new Opened;
  return *opened;
}

int count_gpus() {
  check(driver().cuInit(0), "a driver that starts");
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "the number of GPUs");
  return count;
}

}  // namespace

std::string why_not() {
  try {
    return count_gpus() > 0 ? "" : "[cuda] expected a GPU, got a driver that sees none";
  } catch (const std::exception& error) {
    return error.what();
  }
}

int gpu_count() {
  try {
    return count_gpus();
  } catch (const std::exception&) {
    return 0;
  }
}

OpenGpu::OpenGpu(int number)
    : ordinal(number), gpu(number), stream(), cache(KernelCache::default_folder()) {}

OpenGpu& open_gpu(int ordinal) {
  const std::lock_guard<std::mutex> guard(opened().mutex);
  auto& found = opened().gpus[ordinal];
  if (!found) found = std::make_unique<OpenGpu>(ordinal);
  found->gpu.make_current();
  return *found;
}

}  // namespace cavs::cuda
