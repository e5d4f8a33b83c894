// A pool of worker threads with spin-then-sleep barriers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace cavs {

// Number of cores that this process may use (its affinity mask, and the control group's quota).
int available_cores();

// Threads that native calls use; defaults to available_cores().
int num_threads();
void set_num_threads(int count);

// All `count` threads of one parallel region wait for each other. Spins briefly, then yields and
// sleeps, so that a descheduled partner costs a wake-up and not a burnt time slice.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}
  void wait();

 private:
  const int count_;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> sleepers_{0};  // waking costs a system call: only where somebody sleeps
};

// Runs body(thread, count) once for each thread in 0..count-1, the caller being thread 0, and
// returns when all have returned. If bodies throw, one of the exceptions is rethrown; a body must
// therefore not throw between barriers that its partners wait at. Calls do not nest; concurrent
// calls from several Python threads take turns. Safe after fork().
void parallel_run(int count, const std::function<void(int, int)>& body);

}  // namespace cavs
