// Graphs of sweeps that come again: a batch that repeats is launched as one.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/driver/gpu.h"

namespace cavs::cuda {

// Everything that the launches of a sweep depend on: addresses, rows, the program.
using SweepKey = std::vector<uint64_t>;

// What came how often; thread-safe.
class GraphCache {
 public:
  // A sweep that comes for the first time is launched as it is, since a capture costs about what
  // some launches do; the second time it is captured.
  enum class Advice { kLaunch, kCapture, kReplay };
  struct Found {
    Advice advice = Advice::kLaunch;
    std::shared_ptr<const Graph> graph;  // to replay
  };
  Found find(const SweepKey& key);
  // A sweep was launched to its end. One that failed half-way may have kernels that are not loaded,
  // which a capture cannot do.
  void note_launched(const SweepKey& key);
  // Of a sweep that came again. Null: it cannot be captured, and is launched from now on.
  void keep(const SweepKey& key, std::shared_ptr<const Graph> graph);

 private:
  static constexpr size_t kMost = 256;  // of a program: the batches of an epoch
  struct Entry {
    SweepKey key;
    std::shared_ptr<const Graph> graph;
    bool given_up = false;
  };
  std::list<Entry>::iterator position_of(const SweepKey& key);

  std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
};

// Whether graphs are used: from the start unless the environment variable CAVS_CUDA_GRAPHS is 0.
bool uses_graphs();
void set_uses_graphs(bool enabled);

}  // namespace cavs::cuda
