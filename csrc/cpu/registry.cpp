// Finds the CPU's kernels by name, for the instruction set at hand.
#include <map>

#include "base/error.h"
#include "base/isa.h"
#include "cpu/attention/attention.h"
#include "cpu/convolution/table.h"
#include "cpu/isa_table.h"
#include "cpu/kernel.h"
#include "cpu/kernels/matmul.h"

namespace cavs {
namespace {

using Registry = std::map<std::string, KernelEntry>;

const Registry& cpu_registry() {
  // Never destroyed: native calls may go on while the process ends.
  static const auto* const registry = [] {
    auto* const result = new Registry;
    const IsaTable& table = isa_table();
    for (int i = 0; i < table.num_kernels; ++i) (*result)[table.kernels[i].name] = table.kernels[i];
    for (const KernelEntry& entry : convolution_table().kernels) (*result)[entry.name] = entry;
    const KernelEntry* attention = attention_isa().kernels;
    for (int i = 0; i < kAttentionKernels; ++i) (*result)[attention[i].name] = attention[i];
    for (const KernelEntry& entry : kMatmulKernels) (*result)[entry.name] = entry;
    for (const KernelEntry& entry : kMaskedMatmulKernels) (*result)[entry.name] = entry;
    return result;
  }();
  return *registry;
}

}  // namespace

const IsaTable& isa_table() {
#if defined(__x86_64__)
  switch (current_isa()) {
    case Isa::kAvx512:
      return isa_table_avx512();
    case Isa::kAvx2:
      return isa_table_avx2();
    default:
      break;
  }
#endif
  return isa_table_generic();
}

template <class T>
const IsaFunctions<T>& isa_functions() {
  if constexpr (sizeof(T) == sizeof(float)) {
    return isa_table().single;
  } else {
    return isa_table().twice;
  }
}
template const IsaFunctions<float>& isa_functions();
template const IsaFunctions<double>& isa_functions();

KernelFunction find_kernel(DType dtype, const std::string& name) {
  if (dtype == DType::kInt32) return nullptr;
  const auto found = cpu_registry().find(name);
  if (found == cpu_registry().end()) return nullptr;
  return dtype == DType::kFloat32 ? found->second.single : found->second.twice;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto& entry : cpu_registry()) names.push_back(entry.first);
  return names;
}

std::string instruction_set() { return isa_name(current_isa()); }

void fail_fused(const char* expected, int64_t got) {
  fail(ErrorKind::kRuntime, "[kernels] expected ", expected, ", got ", got,
       "; split the elementwise group or rebuild the program");
}

}  // namespace cavs
