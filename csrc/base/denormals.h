// How this thread's arithmetic takes denormal numbers, those below 1.2e-38 in float32. Processors
// need a hundred cycles and more for each, and decay drives weights there that no gradient holds:
// so native calls that compute in float32 take them for zero, as operands and as results.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace cavs {

// Bits of the thread's control register; a caller of ours may have set some of kFlushed alone.
enum class Denormals : uint32_t {
  kKept = 0,
#if defined(__x86_64__)
  kFlushed = 0x8040,  // MXCSR: flush to zero, denormals are zero
#elif defined(__aarch64__)
  kFlushed = 1u << 24,  // FPCR: FZ, for both
#else
  kFlushed = 1,  // no thread is ever in this mode
#endif
};

// Whether this machine can take them for zero.
bool can_flush_denormals();

// The setting for all native calls in float32 from now on: on from the start where it can be.
bool flush_denormals();
void set_flush_denormals(bool enabled);  // throws Error(kRuntime) for true where it cannot be

// Of a call that computes in this dtype: float64 keeps them, whatever the caller does.
Denormals denormals_for(DType dtype);

// Of this thread, now.
Denormals current_denormals();

// This thread's mode while the object lives; then what it was before.
class DenormalScope {
 public:
  explicit DenormalScope(Denormals mode);
  explicit DenormalScope(DType dtype) : DenormalScope(denormals_for(dtype)) {}
  ~DenormalScope();
  DenormalScope(const DenormalScope&) = delete;
  DenormalScope& operator=(const DenormalScope&) = delete;

 private:
  const Denormals before_;
  const bool changes_;
};

}  // namespace cavs
