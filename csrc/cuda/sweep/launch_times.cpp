// Times launches by events, and sums up by call.
#include "cuda/sweep/launch_times.h"

#include <algorithm>

namespace cavs::cuda {
namespace {

int64_t nanoseconds(const Event& from, const Event& to) {
  return static_cast<int64_t>(static_cast<double>(to.milliseconds_since(from)) * 1e6);
}

}  // namespace

LaunchTimes::LaunchTimes(const Sweep& sweep, const Stream& stream)
    : profile_(sweep.profile), stream_(stream) {
  if (profile_ == nullptr) return;
  begin_ = std::make_unique<Event>(true);
  stream_.record(*begin_);
}

void LaunchTimes::finish(size_t calls) {
  if (profile_ == nullptr) return;
  stream_.synchronize();
  profile_->walk = watch_.lap();
  profile_->calls.resize(calls);
  profile_->threads.resize(1);
  SweepProfile::Thread& thread = profile_->threads[0];
  for (const Timed& timed : timed_) {
    ProfileEvent event;
    event.call = timed.call;
    event.level = timed.level;
    event.start = nanoseconds(*begin_, *timed.start);
    event.ns = nanoseconds(*timed.start, *timed.end);
    event.rows = timed.rows;
    profile_->keep(event);
    profile_->calls[static_cast<size_t>(timed.call)].add({1, event.rows, event.ns});
    thread.kernels += event.ns;
  }
  thread.walking = std::max<int64_t>(0, profile_->walk - thread.kernels);
}

}  // namespace cavs::cuda
