// Shares pieces of work among the threads that are awake.
#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "base/waiting.h"
#include "base/worker_pool.h"

namespace cavs {
namespace {

// Nanoseconds that helpers must save before they are asked in a call that comes alone or while
// cores are crowded.
constexpr double kWorthWaking = 200000;
// If a leader waits for other parts longer than this beyond twice the time of its own, a helper has
// lost its core. Cores then count as crowded for a while.
constexpr std::chrono::microseconds kStalled{100};
constexpr std::chrono::milliseconds kCrowded{20};

std::atomic<Clock::rep> crowded_until{0};

thread_local bool works_alone = false;

std::atomic<int> thread_setting{0};

constexpr int kPieceShift = 24, kTakenShift = 12;
constexpr int kMostParts = (1 << kTakenShift) - 1;

// Before it is measured: the cost between cores that share a cache.
std::atomic<double> measured_hand_over{250};
std::atomic<int> measuring_left{10};  // calls that may still try to measure

void work_for(Clock::duration time) {
  const Clock::time_point end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

// Takes the lower quartile, because it does not change when a helper loses its core for a moment.
void measure_hand_over(Team& team) {
  constexpr int kTurns = 64, kFewest = 16;
  constexpr std::chrono::nanoseconds kPart{1000};
  std::vector<double> costs;
  costs.reserve(kTurns);
  for (int turn = 0; turn < kTurns; ++turn) {
    std::atomic<bool> helped{false};
    const Clock::time_point begin = Clock::now();
    team.share(2, [&](int thread, int) {
      if (thread != 0) helped.store(true);
      work_for(kPart);
    });
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin - kPart;
    if (helped.load()) costs.push_back(spent.count());
  }
  if (costs.size() < kFewest) return;
  const auto quartile = costs.begin() + static_cast<std::ptrdiff_t>(costs.size() / 4);
  std::nth_element(costs.begin(), quartile, costs.end());
  measured_hand_over.store(*quartile);
  measuring_left.store(0);
}

}  // namespace

int num_threads() {
  const int setting = thread_setting.load();
  return setting > 0 ? setting : available_cores();
}

void set_num_threads(int count) {
  CAVS_CHECK(count >= 1 && count <= 1024, ErrorKind::kValue,
             "[threads] expected a number of threads from 1 to 1024, got ", count,
             "; pass available_cores() to use all");
  thread_setting.store(count);
}

WorkAlone::WorkAlone() : before_(works_alone) { works_alone = true; }
WorkAlone::~WorkAlone() { works_alone = before_; }

double hand_over_ns() { return measured_hand_over.load(); }

void Team::share(int parts, const void* context, Call call) {
  CAVS_CHECK(parts >= 1 && parts <= kMostParts, ErrorKind::kRuntime, "[threads] expected 1..",
             kMostParts, " parts, got ", parts, "; split the work into fewer parts");
  context_ = context;
  call_ = call;
  done_.store(0);
  const uint64_t piece = (ticket_.load() >> kPieceShift) + 1;
  ticket_.store(piece << kPieceShift | static_cast<uint64_t>(parts));
  if (parts > 1) change(&published_, &sleepers_);
  const Clock::rep begin = count_ > 1 ? now() : 0;
  take_parts(0);
  if (done_.load() != parts) wait_for_parts(parts, begin);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Team::wait_for_parts(int parts, Clock::rep begin) {
  const Clock::rep own_end = now();
  for (int waited = 0; done_.load() != parts; ++waited) {
    if (waited < spins_for(count_)) {
      cpu_relax();
    } else {
      sched_yield();  // a helper that has begun may need this core
    }
  }
  const Clock::rep end = now();
  if (end - own_end > 2 * (own_end - begin) + ticks(kStalled)) {
    crowded_until.store(end + ticks(kCrowded));
  }
}

bool Team::take_parts(int thread) {
  bool any = false;
  uint64_t ticket = ticket_.load();
  while (true) {
    const uint64_t taken = ticket >> kTakenShift & kMostParts, parts = ticket & kMostParts;
    if (taken == parts) return any;
    if (!ticket_.compare_exchange_weak(ticket, ticket + (uint64_t{1} << kTakenShift))) continue;
    any = true;
    try {
      call_(context_, thread, static_cast<int>(taken));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    done_.fetch_add(1);
    ticket = ticket_.load();
  }
}

void Team::help(int thread) {
  while (!closed_.load()) {
    const uint32_t published = published_.load();
    if (take_parts(thread) || closed_.load()) continue;
    wait_for_change(&published_, published, &sleepers_, spins_for(count_));
  }
}

void Team::close() {
  closed_.store(true);
  change(&published_, &sleepers_);
}

void run_team(int count, double saved_ns, const std::function<void(Team&)>& leader) {
  // When the last call ended that could have had helpers.
  static std::atomic<Clock::rep> last_end{0};
  const auto unlikely = [](Clock::rep time) {
    return time - last_end.load() > ticks(kAwake) || time < crowded_until.load();
  };
  const bool alone = count <= 1 || works_alone || (saved_ns < kWorthWaking && unlikely(now()));
  Team team(alone ? 1 : count);
  if (alone) {
    leader(team);
    if (count > 1) last_end.store(now());
    return;
  }
  const auto lead = [&] {
    try {
      if (measuring_left.load() > 0 && measuring_left.fetch_sub(1) > 0) measure_hand_over(team);
      leader(team);
    } catch (...) {
      team.close();
      throw;
    }
    team.close();
  };
  run_on_workers(count, lead, [&team, mode = current_denormals()](int thread) {
    const DenormalScope scope(mode);
    team.help(thread);
  });
  last_end.store(now());
}

}  // namespace cavs
