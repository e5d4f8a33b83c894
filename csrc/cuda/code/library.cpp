// Compiles units of kernels when they are first needed, and keeps what was made.
#include "cuda/code/library.h"

#include <mutex>
#include <tuple>

#include "base/everlasting.h"
#include "cuda/code/kernel_texts.h"

namespace cavs::cuda {
namespace {

constexpr int kMajorCapability = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kHopper = 9;
constexpr Result kBlasOutOfMemory = 3;  // CUBLAS_STATUS_ALLOC_FAILED

// As cuBLAS's manual asks for: its products are slower with less.
size_t workspace_bytes(const Gpu& gpu) {
  return size_t{gpu.attribute(kMajorCapability) >= kHopper ? 32U : 4U} << 20;
}

void check_blas(Result code, const char* what) {
  if (code != 0)
    fail("[cuda] expected ", what, ", got cuBLAS's error ", code,
         "; see docs/gpu.md, Troubleshooting");
}

struct Libraries {
  std::mutex mutex;
  std::map<std::tuple<OpenGpu*, DType, bool>, std::unique_ptr<Library>> made;
};

}  // namespace

std::vector<std::string> options_of(DType dtype, bool flush_denormals) {
  if (dtype == DType::kFloat64) return {"-DCAVS_REAL=double"};
  if (dtype == DType::kInt32) return {"-DCAVS_REAL=int"};
  std::vector<std::string> options = {"-DCAVS_REAL=float"};
  if (flush_denormals) options.emplace_back("--ftz=true");
  return options;
}

KernelSource source_of(std::string name, std::string text, DType dtype, bool flush_denormals) {
  return {std::move(name), std::move(text), kernel_headers(), options_of(dtype, flush_denormals)};
}

Library::Library(OpenGpu& open, DType dtype, bool flush_denormals)
    : open_(open), dtype_(dtype), flush_denormals_(flush_denormals) {}

const Module& Library::unit_of(std::string_view name) {
  auto found = units_.find(name);
  if (found == units_.end()) {
    const std::string file = std::string(name) + ".cu";
    const KernelSource source = source_of(file, kernel_text(file), dtype_, flush_denormals_);
    found = units_.emplace(name, open_.cache.load(source, open_.gpu)).first;
  }
  return *found->second;
}

const Kernel& Library::kernel(std::string_view unit, std::string_view name) {
  {
    const std::shared_lock<std::shared_mutex> guard(mutex_);
    const auto found = kernels_.find({unit, name});
    if (found != kernels_.end()) return *found->second;
  }
  const std::lock_guard<std::shared_mutex> guard(mutex_);
  const Module& module = unit_of(unit);
  auto made = std::make_unique<Kernel>(module.kernel(std::string(name)));
  const std::string_view kept_unit = units_.find(unit)->first, kept_name = made->name();
  return *kernels_.emplace(std::pair(kept_unit, kept_name), std::move(made)).first->second;
}

void Library::launch(const Stream& stream, std::string_view unit, std::string_view name,
                     const Shape& shape, const Argument& call) {
  kernel(unit, name).launch(stream, shape, call);
}

BlasHandle Library::blas(const Stream& stream) {
  const std::lock_guard<std::shared_mutex> guard(mutex_);
  Blas& of_stream = blas_[stream.handle()];
  if (of_stream.handle != nullptr) return of_stream.handle;
  const size_t bytes = workspace_bytes(open_.gpu);
  if (of_stream.workspace == 0) {
    check(take_sparing([&] { return driver().cuMemAlloc(&of_stream.workspace, bytes); }), bytes,
          " bytes for cuBLAS");
  }
  BlasHandle handle = nullptr;
  const auto create = [&] {
    const Result code = cuda::blas().cublasCreate(&handle);
    return code == kBlasOutOfMemory ? kNoMemory : code;
  };
  const Result code = take_sparing(create);
  if (code == kNoMemory) fail_for_memory("a handle of cuBLAS");
  check_blas(code, "a handle of cuBLAS");
  // In this order: setting the stream takes the workspace away.
  check_blas(cuda::blas().cublasSetStream(handle, stream.handle()), "a stream for cuBLAS");
  check_blas(
      cuda::blas().cublasSetWorkspace(handle, reinterpret_cast<void*>(of_stream.workspace), bytes),
      "a workspace for cuBLAS");
  return of_stream.handle = handle;
}

bool Library::uses_blas() {
  const std::shared_lock<std::shared_mutex> guard(mutex_);
  return !blas_.empty();
}

Library& library_of(OpenGpu& open, DType dtype, bool flush_denormals) {
  auto& all = everlasting<Libraries>();
  const std::lock_guard<std::mutex> guard(all.mutex);
  const bool flush = flush_denormals && dtype == DType::kFloat32;
  auto& found = all.made[{&open, dtype, flush}];
  if (!found) found = std::make_unique<Library>(open, dtype, flush);
  return *found;
}

}  // namespace cavs::cuda
