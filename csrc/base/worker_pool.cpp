// Starts workers when they are needed, and lets workers that wake up in time into a region of work.
#include "base/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/waiting.h"

namespace cavs {
namespace {

// After the system refuses a thread, the pool asks for none for this long.
constexpr std::chrono::seconds kRefused{1};

// Each worker has a word of its own, so that a small region wakes no more workers than it uses.
struct alignas(64) Worker {
  std::atomic<uint32_t> round{0};
  std::atomic<int> sleepers{0};
};

thread_local bool inside_region = false;

// Which workers may enter the present region, and how many have entered. One word holds all of it,
// so a worker that wakes up late enters either this region or none.
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
  // Runs leader() here, and helper(thread) on each worker that enters before the leader is done.
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
  // Returns how many of `count` workers there are: all, or fewer where the system limits the
  // process (ulimit -u, a control group's pids.max). The work is right with any number.
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

struct RegionGuard {
  RegionGuard() { inside_region = true; }
  ~RegionGuard() { inside_region = false; }
};

}  // namespace

void run_on_workers(int count, const std::function<void()>& leader,
                    const std::function<void(int)>& helper) {
  CAVS_CHECK(!inside_region, ErrorKind::kRuntime,
             "[threads] expected parallel regions that do not nest, got one within another; call "
             "it outside of the region");
  const RegionGuard guard;
  pool().run(count, leader, helper);
}

}  // namespace cavs
