// What the engine has asked the driver for since the process began: of a step, what it costs the
// host.
#pragma once

#include <atomic>
#include <cstdint>

namespace cavs::cuda {

// An addition beside a call that takes microseconds. What is captured counts once, as it is
// captured; then each launch of the graph does.
struct Counters {
  std::atomic<int64_t> launches{0};  // of the engine's own kernels
  std::atomic<int64_t> graph_launches{0};
  std::atomic<int64_t> lost_captures{0};  // that gave no graph
  std::atomic<int64_t> products{0};       // given to cuBLAS, which launches them
  std::atomic<int64_t> copies_to_device{0};
  std::atomic<int64_t> bytes_to_device{0};
};

inline Counters& counters() {
  static Counters counters;
  return counters;
}

inline void count(std::atomic<int64_t>& counter, int64_t more = 1) {
  counter.fetch_add(more, std::memory_order_relaxed);
}

}  // namespace cavs::cuda
