// Which segments of a sweep may run at the same time: each goes on a stream of its own, after those
// whose results it needs.
#pragma once

#include <memory>
#include <vector>

#include "cuda/driver/gpus.h"
#include "runtime/backend.h"

namespace cavs::cuda {

// Streams beside each other; number 0 is the one that orders the call.
constexpr int kStreams = 3;

struct SegmentPlace {
  int stream = 0;
  std::vector<int> after;  // segments on other streams that must be done
  bool awaited = false;    // whether a segment on another stream waits for it
};

// [segment]. Two segments that touch the same memory, one of them to write it, run in their order:
// so it is enough that the memory plan is right for a sequence. Segments that take turns stand
// together. With `one` all are on stream 0.
std::vector<SegmentPlace> place_segments(const Sweep& sweep, bool one);

// The streams of a sweep: the caller's, and those beside it, which join it in the end.
class Lanes {
 public:
  Lanes(OpenGpu& open, const Stream& first, const std::vector<SegmentPlace>& places);

  // The stream on which a segment's work may be put from now on.
  const Stream& enter(size_t segment);
  void leave(size_t segment);
  void join();

 private:
  const Stream& of(int stream) const { return stream == 0 ? first_ : open_.beside[stream - 1]; }

  OpenGpu& open_;
  const Stream& first_;
  const std::vector<SegmentPlace>& places_;
  std::unique_ptr<Event> begun_;
  std::vector<std::unique_ptr<Event>> done_;  // [segment] where it is awaited
  bool used_[kStreams] = {};
};

}  // namespace cavs::cuda
