// Sets the processor's mode for denormal numbers while calls run.
#include "base/denormals.h"

#include <atomic>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "base/error.h"

namespace cavs {
namespace {

constexpr auto kBits = static_cast<uint32_t>(Denormals::kFlushed);

std::atomic<bool> flush_setting{can_flush_denormals()};

// Changes the bits alone: rounding and the flags that arithmetic has raised stay.
void set_mode(Denormals mode) {
  [[maybe_unused]] const auto bits = static_cast<uint32_t>(mode);
#if defined(__x86_64__)
  _mm_setcsr((_mm_getcsr() & ~kBits) | bits);
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  control = (control & ~uint64_t{kBits}) | bits;
  asm volatile("msr fpcr, %0" : : "r"(control) : "memory");
#endif
}

}  // namespace

bool can_flush_denormals() {
#if defined(__x86_64__) || defined(__aarch64__)
  return true;
#else
  return false;
#endif
}

bool flush_denormals() { return flush_setting.load(std::memory_order_relaxed); }

void set_flush_denormals(bool enabled) {
  CAVS_CHECK(!enabled || can_flush_denormals(), ErrorKind::kRuntime,
             "[denormals] expected a processor that takes denormals for zero, got another; leave "
             "the setting off");
  flush_setting.store(enabled, std::memory_order_relaxed);
}

Denormals denormals_for(DType dtype) {
  return dtype == DType::kFloat32 && flush_denormals() ? Denormals::kFlushed : Denormals::kKept;
}

Denormals current_denormals() {
#if defined(__x86_64__)
  return static_cast<Denormals>(_mm_getcsr() & kBits);
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return static_cast<Denormals>(control & kBits);
#else
  return Denormals::kKept;
#endif
}

DenormalScope::DenormalScope(Denormals mode)
    : before_(current_denormals()), changes_(mode != before_) {
  if (changes_) set_mode(mode);
}

DenormalScope::~DenormalScope() {
  if (changes_) set_mode(before_);
}

}  // namespace cavs
