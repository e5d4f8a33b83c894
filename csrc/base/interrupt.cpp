// Asks now and then whether a long call should end.
#include "base/interrupt.h"

#include <time.h>

#include <algorithm>
#include <atomic>

namespace cavs {
namespace {

constexpr int64_t kInterval = 100 * 1000 * 1000;  // ns
// Asking may wait for other threads. The work still gets most of the time.
constexpr int64_t kShare = 20;

std::atomic<void (*)()> interrupt_check{nullptr};

}  // namespace

void set_interrupt_check(void (*check)()) { interrupt_check.store(check); }

Interrupt::Interrupt() : next_(coarse_ns() + kInterval) {}

// Reading this clock takes a few nanoseconds; it moves every few milliseconds.
int64_t Interrupt::coarse_ns() {
#if defined(CLOCK_MONOTONIC_COARSE)
  constexpr clockid_t clock = CLOCK_MONOTONIC_COARSE;
#else
  constexpr clockid_t clock = CLOCK_MONOTONIC;
#endif
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1000 * 1000 * 1000 + time.tv_nsec;
}

void Interrupt::ask() {
  const int64_t begin = coarse_ns();
  if (auto* check = interrupt_check.load()) check();
  const int64_t end = coarse_ns();
  next_ = end + std::max(kInterval, kShare * (end - begin));
}

}  // namespace cavs
