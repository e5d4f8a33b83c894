// The kernels that all programs share, compiled for one GPU, dtype and state of denormals.
#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "cuda/driver/gpus.h"

namespace cavs::cuda {

// What a text that includes cuda/kernels/real.h is compiled with. Denormals are flushed in float32
// alone.
std::vector<std::string> options_of(DType dtype, bool flush_denormals);

// A text that may include the engine's headers.
KernelSource source_of(std::string name, std::string text, DType dtype, bool flush_denormals);

// Any number of threads may use it.
class Library {
 public:
  Library(OpenGpu& open, DType dtype, bool flush_denormals);
  virtual ~Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  OpenGpu& open() const { return open_; }
  DType dtype() const { return dtype_; }

  // The kernel `name` of cuda/kernels/UNIT.cu. The unit is compiled and loaded when a kernel of it
  // is first asked for. The GPU is current in the calling thread. Throws Error(kDevice).
  const Kernel& kernel(std::string_view unit, std::string_view name);

  // Puts kernel `name` of UNIT.cu, which takes one struct, on the stream; or notes it (see
  // levels_steps.cpp).
  virtual void launch(const Stream& stream, std::string_view unit, std::string_view name,
                      const Shape& shape, const Argument& call);

  // A handle of cuBLAS for this stream, made when first asked for, with a workspace of its own: so
  // products allocate nothing, and streams do not share one. Throws Error(kDevice).
  BlasHandle blas(const Stream& stream);
  // Whether it was asked for one, for any stream.
  bool uses_blas();

 private:
  struct Blas {
    BlasHandle handle = nullptr;
    Address workspace = 0;
  };

  const Module& unit_of(std::string_view name);

  OpenGpu& open_;
  const DType dtype_;
  const bool flush_denormals_;
  std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<Module>, std::less<>> units_;
  std::map<std::pair<std::string_view, std::string_view>, std::unique_ptr<Kernel>> kernels_;
  std::map<StreamHandle, Blas> blas_;
};

// Made when first asked for; lives as long as the process.
Library& library_of(OpenGpu& open, DType dtype, bool flush_denormals);

}  // namespace cavs::cuda
