// Spins, then yields, then sleeps on a futex.
#include "base/waiting.h"

#include <sched.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include <thread>

#include "base/cores.h"

namespace cavs {
namespace {

constexpr int kSpins = 6000;  // about 100 microseconds

void sleep_while_equal(std::atomic<uint32_t>* word, uint32_t value) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr,
          0);
#else
  if (word->load() == value) std::this_thread::sleep_for(std::chrono::microseconds(50));
#endif
}

void wake_all(std::atomic<uint32_t>* word) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_PRIVATE, 0x7fffffff, nullptr,
          nullptr, 0);
#else
  (void)word;
#endif
}

}  // namespace

void wait_for_change(std::atomic<uint32_t>* word, uint32_t value, std::atomic<int>* sleepers,
                     int spins) {
  for (int i = 0; i < spins; ++i) {
    if (word->load(std::memory_order_acquire) != value) return;
    cpu_relax();
  }
  const Clock::rep end = now() + ticks(kAwake);
  while (spins > 0 && now() < end) {
    if (word->load(std::memory_order_acquire) != value) return;
    sched_yield();
  }
  sleepers->fetch_add(1);
  while (word->load() == value) sleep_while_equal(word, value);
  sleepers->fetch_sub(1);
}

void change(std::atomic<uint32_t>* word, std::atomic<int>* sleepers) {
  word->fetch_add(1);
  if (sleepers->load() > 0) wake_all(word);
}

int spins_for(int count) {
  static const int cores = available_cores();
  return count <= cores ? kSpins : 0;  // more threads than cores: the partner may need this core
}

}  // namespace cavs
