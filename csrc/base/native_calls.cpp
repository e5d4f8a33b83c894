// Counts native calls under way, for the process's end to wait for.
#include "base/native_calls.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace cavs {
namespace {

std::atomic<int> running{0};
std::atomic<bool> forking{false};
thread_local int running_here = 0;

void pause_briefly() { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

void before_fork() {
  forking.store(true);
  wait_for_native_calls();
}

void after_fork() { forking.store(false); }

[[maybe_unused]] const int registered = pthread_atfork(before_fork, after_fork, after_fork);

}  // namespace

NativeCall::NativeCall() {
  // A call announces itself before it looks for a fork, and before_fork() announces the fork before
  // it counts calls. So at least one of the two sees the other.
  running.fetch_add(1);
  while (forking.load() && running_here == 0) {
    running.fetch_sub(1);
    while (forking.load()) pause_briefly();
    running.fetch_add(1);
  }
  ++running_here;
}

NativeCall::~NativeCall() {
  --running_here;
  running.fetch_sub(1);
}

void wait_for_native_calls() {
  while (running.load() > running_here) pause_briefly();
}

}  // namespace cavs
