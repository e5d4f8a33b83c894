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

// Work that a leader hands out in parts. Helpers that are awake take parts beside the leader.
// Nobody waits for a helper that still sleeps or has lost its core, unless it has begun a part.
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
  // Takes parts while there are any, and returns whether it took one.
  bool take_parts(int thread);

  const int count_;
  const void* context_ = nullptr;
  Call call_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  // [number of the piece of work][parts taken][parts]. One word holds all three, so a helper that
  // comes late never takes a part of a piece other than the one that it looked at.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<uint32_t> published_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> closed_{false};
};

// Runs leader(team) on the caller while up to count - 1 other threads help, each as soon as it is
// awake. Waking threads takes longer than a short call. So a call in which helpers save less than a
// fifth of a millisecond (`saved_ns`) has helpers only if calls come so often that they stay awake,
// and if none of them lost its core a moment ago. Otherwise its team has one thread. Helpers take
// denormals as the caller does. Rethrows the leader's exception. Calls do not nest; calls of
// several Python threads take turns. Safe after fork().
void run_team(int count, double saved_ns, const std::function<void(Team&)>& leader);

// While one lives, its thread's calls have no helpers. A signal handler needs it: it runs on a
// thread whose own call may have helpers.
class WorkAlone {
 public:
  WorkAlone();
  ~WorkAlone();
  WorkAlone(const WorkAlone&) = delete;
  WorkAlone& operator=(const WorkAlone&) = delete;

 private:
  const bool before_;
};

// Nanoseconds that it costs to share a piece of work with a helper that is awake, beside the work
// itself. Measured in the first call with helpers, because cores differ in it; a guess until then.
double hand_over_ns();

}  // namespace cavs
