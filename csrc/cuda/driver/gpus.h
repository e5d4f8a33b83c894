// The GPUs of this process. Each is opened when it is first asked for, and lives as long as the
// process.
#pragma once

#include <mutex>
#include <string>

#include "cuda/code/kernel_cache.h"
#include "cuda/driver/gpu.h"
#include "cuda/driver/pinned_ring.h"

namespace cavs::cuda {

// Why no GPU can be used: a line for people; empty where one can be used. Never throws.
std::string why_not();

// Number of GPUs; 0 where none can be used.
int gpu_count();

struct OpenGpu {
  explicit OpenGpu(int ordinal);

  // Waits until all streams are idle, for a capture to end too: CUDA refuses to wait for a device
  // on which a stream is captured, and the capture is lost.
  void synchronize();

  const int ordinal;
  Gpu gpu;
  Stream stream;     // of the engine, for work that no caller's stream orders
  Stream beside[2];  // for segments that run at the same time
  Stream capturing;  // graphs are captured on it, one at a time
  std::mutex capture_mutex;
  KernelCache cache;
  PinnedRing outcomes;  // of training steps, as the device writes them
};

// Throws Error(kDevice) where there is no GPU of this number. The GPU is current in the calling
// thread afterwards.
OpenGpu& open_gpu(int ordinal);

// The GPU is current in the calling thread while one lives, and then the one that was before, if
// there was one: so the caller's other libraries go on with theirs. Throws as open_gpu does.
class CurrentGpu {
 public:
  explicit CurrentGpu(int ordinal);
  ~CurrentGpu();
  CurrentGpu(const CurrentGpu&) = delete;
  CurrentGpu& operator=(const CurrentGpu&) = delete;

  OpenGpu& operator*() const { return open_; }
  OpenGpu* operator->() const { return &open_; }

 private:
  ContextHandle before_;
  OpenGpu& open_;
};

}  // namespace cavs::cuda
