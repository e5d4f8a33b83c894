// How long the launches of a sweep take.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/stopwatch.h"
#include "cuda/driver/gpu.h"
#include "runtime/backend.h"

namespace cavs::cuda {

// Times by events, which are read when all are done. Does nothing where the sweep has no profile.
class LaunchTimes {
 public:
  LaunchTimes(const Sweep& sweep, const Stream& stream);

  template <class Launch>
  void time(int call, int64_t level, int64_t rows, const Launch& launch) {
    if (profile_ == nullptr) return launch();
    Timed timed{std::make_unique<Event>(true), std::make_unique<Event>(true), call, level, rows};
    stream_.record(*timed.start);
    launch();
    stream_.record(*timed.end);
    timed_.push_back(std::move(timed));
  }
  // Waits for the launches, and writes the profile.
  void finish(size_t calls);

 private:
  struct Timed {
    std::unique_ptr<Event> start, end;
    int call;
    int64_t level, rows;
  };

  SweepProfile* const profile_;
  const Stream& stream_;
  std::unique_ptr<Event> begin_;
  Stopwatch watch_;
  std::vector<Timed> timed_;
};

}  // namespace cavs::cuda
