// How many threads native calls use, and the way to share work among them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>

#include "base/cores.h"

namespace cavs {

// Threads that native calls use; defaults to available_cores().
int num_threads();
void set_num_threads(int count);

// Work that a leader hands out in parts. Whoever of its helpers is awake takes parts beside it; for
// one that still sleeps, or lost its core, nobody waits unless it has begun a part.
class Team {
 public:
  explicit Team(int count) : count_(count) {}
  int count() const { return count_; }

  // Leader: runs work(thread, part) for each part in 0..parts-1, the caller being thread 0, and
  // returns when all are done. If parts throw, one of the exceptions is rethrown then.
  template <class Work>
  void share(int parts, const Work& work) {
    share(parts, &work, [](const void* context, int thread, int part) {
      (*static_cast<const Work*>(context))(thread, part);
    });
  }

  // Helper: takes parts until the leader has closed.
  void help(int thread);
  void close();

 private:
  using Call = void (*)(const void* context, int thread, int part);

  void share(int parts, const void* context, Call call);
  void wait_for_parts(int parts, std::chrono::steady_clock::rep begin);
  // Takes parts for as long as there are any; whether there was one.
  bool take_parts(int thread);

  const int count_;
  const void* context_ = nullptr;
  Call call_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  // [number of the piece of work][parts taken][parts]: a helper that comes late takes no part of
  // another piece than it looked at.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<uint32_t> published_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> closed_{false};
};

// Runs leader(team) on the caller while up to count - 1 other threads help, each from when it wakes
// up. Waking them takes longer than a short call: one in which they save less than a fifth of a
// millisecond, `saved_ns`, has them only where calls come so often that they stay awake, and where
// none of them lost its core to others a moment ago, else a team of one. Helpers take denormals as
// the caller does. Rethrows what the leader threw. Calls do not nest; those of several Python
// threads take turns. Safe after fork().
void run_team(int count, double saved_ns, const std::function<void(Team&)>& leader);

// While one lives, its thread's calls have no helpers. For what runs in between on a thread whose
// own call has them: a signal handler.
class WorkAlone {
 public:
  WorkAlone();
  ~WorkAlone();
  WorkAlone(const WorkAlone&) = delete;
  WorkAlone& operator=(const WorkAlone&) = delete;

 private:
  const bool before_;
};

// Nanoseconds that sharing a piece of work with a helper that is awake takes beside the work
// itself: measured once, in the first call that has helpers, since cores differ in it; a guess
// until then.
double hand_over_ns();

}  // namespace cavs
