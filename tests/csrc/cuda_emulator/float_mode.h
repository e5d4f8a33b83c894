// How the calling thread rounds while one of these lives: to nearest, and with denormal numbers or
// with zeros in their place.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace emulator {

class FloatMode {
 public:
#if defined(__x86_64__)
  explicit FloatMode(bool flush) : before_(_mm_getcsr()) { _mm_setcsr(flush ? 0x9FC0 : 0x1F80); }
  ~FloatMode() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  explicit FloatMode(bool flush) {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    set(flush ? 1ul << 24 : 0);
  }
  ~FloatMode() { set(before_); }

 private:
  static void set(unsigned long control) {
    asm volatile("msr fpcr, %0" : : "r"(control) : "memory");
  }
  unsigned long before_;
#else
  explicit FloatMode(bool) {}
  ~FloatMode() {}

 public:
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;
};

}  // namespace emulator
