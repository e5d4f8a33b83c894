// Runs work on several threads that wait awake for a while and then sleep.
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"

namespace cavs {
namespace {

// Piece after piece of work comes within microseconds, so spinning nearly always suffices. Then a
// thread without work stays awake between the calls of a training loop, which are less than a
// millisecond apart where steps are short, but lets any other thread have its core.
constexpr int kSpins = 6000;  // about 100 microseconds
constexpr std::chrono::microseconds kAwake{1000};
// What helpers must save to be asked in a call that comes alone, or while cores are crowded.
constexpr double kWorthWaking = 200000;
// A leader that waits so much longer for a part than for its own has a helper that lost its core;
// cores count as crowded for a while then.
constexpr std::chrono::microseconds kStalled{100};
constexpr std::chrono::milliseconds kCrowded{20};

// How long no thread is asked for after the system refused one.
constexpr std::chrono::seconds kRefused{1};

using Clock = std::chrono::steady_clock;

Clock::rep now() { return Clock::now().time_since_epoch().count(); }

constexpr Clock::rep ticks(Clock::duration duration) { return duration.count(); }

std::atomic<Clock::rep> crowded_until{0};

void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

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

// Waits until *word != value. Publishes itself in *sleepers before it sleeps; both are sequentially
// consistent, so that whoever changes the word sees the sleeper or the sleeper sees the change.
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

// Cores that one file of a control group allows, or 0 where it sets no limit.
double quota_of(const std::string& folder) {
  std::string quota;
  double period = 0;
  std::ifstream version2(folder + "/cpu.max");
  if (version2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
  }
  double microseconds = 0;
  std::ifstream version1(folder + "/cpu.cfs_quota_us");
  std::ifstream version1_period(folder + "/cpu.cfs_period_us");
  if (version1 >> microseconds && version1_period >> period && microseconds > 0 && period > 0) {
    return microseconds / period;
  }
  return 0;
}

// The least quota of the process's control groups and of those above them, or 0.
double cgroup_quota() {
  double least = 0;
  const auto consider = [&least](const std::string& folder) {
    const double quota = quota_of(folder);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  };
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    std::string root = "/sys/fs/cgroup";
    if (!controllers.empty()) {
      if (("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
      root += "/" + controllers;
    }
    while (path.size() > 1 && path[0] == '/') {
      consider(root + path);
      path.resize(path.rfind('/'));
    }
    consider(root);
  }
  return least;
}

int count_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  const double quota = cgroup_quota();
  if (quota > 0) cores = std::min(cores, static_cast<int>(quota));
#endif
  return std::max(cores, 1);
}

// Each worker has a word of its own, so that a small region wakes no more workers than it uses.
struct alignas(64) Worker {
  std::atomic<uint32_t> round{0};
  std::atomic<int> sleepers{0};
};

thread_local bool inside_region = false;
thread_local bool works_alone = false;

// Who may enter the present region, and how many have: one word, so that a worker which wakes up
// late enters either this region or none.
struct Door {
  uint32_t region;
  uint16_t count;  // threads, the caller among them
  bool closed;
  uint16_t entered;

  uint64_t word() const {
    return uint64_t{region} << 32 | uint64_t{count} << 16 | uint64_t{closed} << 15 | entered;
  }
  static Door of(uint64_t word) {
    return {static_cast<uint32_t>(word >> 32), static_cast<uint16_t>(word >> 16),
            (word >> 15 & 1) != 0, static_cast<uint16_t>(word & 0x7fff)};
  }
};

class Pool {
 public:
  // Runs leader() here and helper(thread) on those others that enter before the leader is done.
  void run(int count, const std::function<void()>& leader, const std::function<void(int)>& helper) {
    const std::lock_guard<std::mutex> turn(turn_);
    const int helpers = grow(count - 1);
    helper_ = &helper;
    error_ = nullptr;
    left_.store(0);
    door_.store(Door{++region_, static_cast<uint16_t>(count), false, 0}.word());
    for (int i = 0; i < helpers; ++i) change(&workers_[i]->round, &workers_[i]->sleepers);
    attempt(leader);
    constexpr uint64_t closed = uint64_t{1} << 15;
    const int expected = Door::of(door_.fetch_or(closed)).entered;
    while (true) {
      const uint32_t finished = finished_.load();
      if (left_.load() == expected) break;
      wait_for_change(&finished_, finished, &finish_sleepers_, spins_for(count));
    }
    helper_ = nullptr;
    if (std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
  }

 private:
  // Gives how many of `count` workers there are: all, or as many as the system lets the process
  // have (ulimit -u, a control group's pids.max), which need no more to be right.
  int grow(int count) {
    while (static_cast<int>(workers_.size()) < count && now() >= next_start_) {
      const int thread = static_cast<int>(workers_.size()) + 1;
      workers_.push_back(std::make_unique<Worker>());
      try {
        std::thread([this, thread, state = workers_.back().get()] {
          work(thread, state);
        }).detach();
      } catch (const std::system_error&) {
        workers_.pop_back();
        next_start_ = now() + ticks(kRefused);
      }
    }
    return std::min(count, static_cast<int>(workers_.size()));
  }

  void work(int thread, Worker* state) {
    inside_region = true;  // whatever a worker does, it does within a region
    uint32_t last = 0;
    for (uint32_t round = 0;; ++round) {
      wait_for_change(&state->round, round, &state->sleepers, spins_for(thread + 1));
      if (!enter(thread, &last)) continue;
      attempt([this, thread] { (*helper_)(thread); });
      left_.fetch_add(1);
      change(&finished_, &finish_sleepers_);
    }
  }

  bool enter(int thread, uint32_t* last) {
    uint64_t word = door_.load();
    while (true) {
      Door door = Door::of(word);
      if (door.closed || thread >= door.count || door.region == *last) return false;
      ++door.entered;
      if (door_.compare_exchange_weak(word, door.word())) {
        *last = door.region;
        return true;
      }
    }
  }

  template <class Body>
  void attempt(const Body& body) {
    try {
      body();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  std::mutex turn_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Clock::rep next_start_ = std::numeric_limits<Clock::rep>::min();
  const std::function<void(int)>* helper_ = nullptr;
  uint32_t region_ = 0;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  alignas(64) std::atomic<uint64_t> door_{Door{0, 0, true, 0}.word()};
  alignas(64) std::atomic<int> left_{0};
  std::atomic<uint32_t> finished_{0};
  std::atomic<int> finish_sleepers_{0};
};

// Never destroyed: workers may still wait on it while the process ends. A child of fork() has none
// of the workers and perhaps a locked mutex, so it forgets the pool and makes its own.
std::atomic<Pool*> pool_instance{nullptr};
std::mutex* pool_mutex = new std::mutex;

void forget_pool_in_child() {
  pool_instance.store(nullptr);
  pool_mutex = new std::mutex;
  inside_region = false;
}

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, forget_pool_in_child);

Pool& pool() {
  Pool* instance = pool_instance.load();
  if (instance != nullptr) return *instance;
  const std::lock_guard<std::mutex> lock(*pool_mutex);
  instance = pool_instance.load();
  if (instance == nullptr) {
    instance = new Pool;
    pool_instance.store(instance);
  }
  return *instance;
}

std::atomic<int> thread_setting{0};

constexpr int kPieceShift = 24, kTakenShift = 12;
constexpr int kMostParts = (1 << kTakenShift) - 1;

// Of cores that share a cache.
std::atomic<double> measured_hand_over{250};
std::atomic<int> measuring_left{10};  // calls that may still try

void work_for(Clock::duration time) {
  const Clock::time_point end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

// The lower quartile, which a helper that lost its core for a moment does not change.
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

void check_no_region() {
  CAVS_CHECK(!inside_region, ErrorKind::kRuntime,
             "[threads] expected parallel regions that do not nest, got one within another; call "
             "it outside of the region");
}

struct RegionGuard {
  RegionGuard() { inside_region = true; }
  ~RegionGuard() { inside_region = false; }
};

}  // namespace

int available_cores() {
  static const int cores = count_cores();
  return cores;
}

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
  check_no_region();
  const RegionGuard guard;
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
  pool().run(count, lead, [&team, mode = current_denormals()](int thread) {
    const DenormalScope scope(mode);
    team.help(thread);
  });
  last_end.store(now());
}

}  // namespace cavs
