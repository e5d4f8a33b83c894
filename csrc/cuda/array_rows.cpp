// Rows added up or compared by number, a kernel for each dtype.
#include "cuda/array_rows.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "cuda/kernel_texts.h"

namespace cavs::cuda {
namespace {

constexpr unsigned kThreads = 256, kMostBlocks = 4096;

// Never destroyed: native calls may go on while the process ends.
struct Loaded {
  std::mutex mutex;
  std::map<std::pair<int, DType>, std::unique_ptr<Module>> modules;
};
Loaded& loaded() {
  static auto* const loaded = new Loaded;
  return *loaded;
}

const char* real_name(DType dtype) {
  if (dtype == DType::kFloat64) return "double";
  return dtype == DType::kFloat32 ? "float" : "int";
}

const Module& module_of(OpenGpu& open, DType dtype) {
  const std::lock_guard<std::mutex> guard(loaded().mutex);
  auto& module = loaded().modules[{open.ordinal, dtype}];
  if (!module) {
    KernelSource source;
    source.name = "array_rows.cu";
    source.text = kernel_text(source.name);
    source.headers = kernel_headers();
    source.options = {std::string("-DCAVS_REAL=") + real_name(dtype)};
    module = open.cache.load(source, open.gpu);
  }
  return *module;
}

}  // namespace

void reduce_rows(OpenGpu& open, const Stream& stream, Reduction reduction, const RowLists& s) {
  const int64_t count = static_cast<int64_t>(s.segments) * s.width;
  if (count == 0) return;
  const Kernel kernel =
      module_of(open, s.dtype)
          .kernel(reduction == Reduction::kSum ? "add_rows_by_list" : "max_rows_by_list");
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>((count + kThreads - 1) / kThreads, kMostBlocks));
  kernel.launch(stream, {blocks, kThreads, 0}, s.out, s.rows, s.order, s.starts, s.segments,
                s.width);
}

}  // namespace cavs::cuda
