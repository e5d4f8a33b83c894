// CUDA C++ made into machine code at run time, and kept on disk by hash.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/driver/gpu.h"

namespace cavs::cuda {

// A translation unit: its text, and the headers that it includes by these names.
struct KernelSource {
  std::string name;  // for messages
  std::string text;
  std::map<std::string, std::string> headers;  // name, text
  std::vector<std::string> options;            // besides the architecture and those of all kernels
};

// Machine code for an architecture ("sm_90"), by NVRTC alone: needs no GPU and no driver. Throws
// Error(kDevice) with the first error of the compiler's log, and with the name of a file that keeps
// the source and all of the log.
std::string compile(const KernelSource& source, const std::string& architecture);

struct Shape {
  unsigned blocks = 1, threads = 1, shared_bytes = 0;
};

// An argument of a kernel whose type is known only at run time, such as a generated struct.
struct Argument {
  const void* data;
  size_t bytes;
};

// A function of a module. Launches check number and sizes of the arguments against those of the
// compiled function, where the driver knows these (from 12.4 on).
class Kernel {
 public:
  Kernel(FunctionHandle function, std::string name);

  const std::string& name() const { return name_; }
  // Blocks of all processors together that can be resident at once: the most that a cooperative
  // launch may have.
  unsigned resident_blocks(const Gpu& gpu, unsigned threads, unsigned shared_bytes = 0) const;
  // Bytes of shared memory that a block has besides those that a launch asks for.
  int own_shared_bytes() const;

  template <class... Arguments>
  void launch(const Stream& stream, const Shape& shape, const Arguments&... arguments) const {
    start(stream, shape, {as_argument(arguments)...}, false);
  }
  // All blocks are resident at once and may wait for each other.
  template <class... Arguments>
  void launch_together(const Stream& stream, const Shape& shape,
                       const Arguments&... arguments) const {
    start(stream, shape, {as_argument(arguments)...}, true);
  }

 private:
  template <class T>
  static Argument as_argument(const T& value) {
    return {&value, sizeof(T)};
  }
  static Argument as_argument(const Argument& value) { return value; }
  void allow_shared(unsigned bytes) const;
  void start(const Stream& stream, const Shape& shape, const std::vector<Argument>& arguments,
             bool together) const;

  struct Allowed {
    std::mutex mutex;
    unsigned bytes = 0;
  };

  FunctionHandle function_;
  std::string name_;
  std::optional<std::vector<size_t>> parameter_bytes_;  // nothing where the driver does not say
  std::shared_ptr<Allowed> allowed_ = std::make_shared<Allowed>();  // of dynamic shared memory
};

class Module {
 public:
  explicit Module(const std::string& image);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Kernel kernel(const std::string& name) const;

 private:
  ContextHandle context_ = current_context();
  ModuleHandle handle_ = nullptr;
};

// Keeps machine code in a folder under a hash of all that it depends on: text, headers, options,
// architecture and compiler. Files are written whole, under another name first, and hold a hash of
// what they hold: processes and threads may share the folder, and what was cut off or changed is
// compiled again. A folder that is full or cannot be written keeps nothing.
class KernelCache {
 public:
  // The folder: CAVS_CUDA_CACHE, or one of the user's cache folder. Empty: nothing is kept.
  explicit KernelCache(std::string folder);
  static std::string default_folder();

  std::unique_ptr<Module> load(const KernelSource& source, const Gpu& gpu);
  int hits() const { return hits_; }
  int misses() const { return misses_; }

 private:
  std::string folder_;
  std::atomic<int> hits_{0}, misses_{0};
};

}  // namespace cavs::cuda
