// Which segments of a sweep may run at the same time: each goes on a stream of its own, after those
// whose results it needs.
#pragma once

#include <vector>

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
// so it is enough that the memory plan is right for a sequence. Sums over levels stand with the
// levels. With `one` all are on stream 0.
std::vector<SegmentPlace> place_segments(const Sweep& sweep, bool one);

}  // namespace cavs::cuda
