// How this thread's arithmetic takes denormal numbers (below 1.2e-38 in float32). Processors need a
// hundred cycles or more for each of them. Weight decay makes a weight denormal where no gradient
// acts against it. So native calls that compute in float32 take denormal numbers for zero, as
// operands and as results.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace cavs {

// Bits of the thread's control register. A caller may have set only some of the bits of kFlushed.
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

// Whether this machine can take denormal numbers for zero.
bool can_flush_denormals();

// The setting for all native calls in float32 from now on. It is on from the start where the
// machine can do it.
bool flush_denormals();
void set_flush_denormals(bool enabled);  // throws Error(kRuntime) for true where it cannot be

// The mode of a call that computes in this dtype: float64 keeps denormal numbers, whatever the
// caller does.
Denormals denormals_for(DType dtype);

// The mode of this thread now.
Denormals current_denormals();

// Sets this thread's mode while the object lives, and then the mode from before.
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
