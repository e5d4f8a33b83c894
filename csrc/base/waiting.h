// How threads wait for each other: awake for a while, then asleep.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace cavs {

// Pieces of work follow each other within microseconds, so spinning nearly always suffices. After
// that a thread without work stays awake for this long, but lets any other thread have its core:
// the calls of a training loop are less than a millisecond apart where steps are short.
constexpr std::chrono::microseconds kAwake{1000};

using Clock = std::chrono::steady_clock;

inline Clock::rep now() { return Clock::now().time_since_epoch().count(); }

constexpr Clock::rep ticks(Clock::duration duration) { return duration.count(); }

inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// How often one of `count` threads that work together looks before it lets others have its core.
int spins_for(int count);

// Waits until *word != value. A thread counts itself in *sleepers before it sleeps. Both words are
// sequentially consistent, so either the thread that changes the word sees the sleeper, or the
// sleeper sees the change.
void wait_for_change(std::atomic<uint32_t>* word, uint32_t value, std::atomic<int>* sleepers,
                     int spins);

// Changes the word, and wakes the threads that sleep on it.
void change(std::atomic<uint32_t>* word, std::atomic<int>* sleepers);

}  // namespace cavs
