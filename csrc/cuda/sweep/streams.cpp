// Finds segments that do not depend on each other, by the memory that they touch.
#include "cuda/sweep/streams.h"

#include <algorithm>
#include <cstdint>

#include "runtime/executable.h"
#include "runtime/places.h"
#include "runtime/row_counts.h"

namespace cavs::cuda {
namespace {

// Bytes that a segment reads or writes.
struct Range {
  uintptr_t begin, end;
  bool written;
};

// All rows of a value that are in use; the columns of a view count as whole rows.
Range range_of(const Sweep& sweep, int id, bool written) {
  const ValueRows rows = rows_of(sweep, id);
  const Space& space = sweep.exe.program.values[static_cast<size_t>(id)].space;
  const int64_t item = item_size(sweep.exe.forms[id].dtype);
  const auto begin = reinterpret_cast<uintptr_t>(rows.data);
  if (rows.ld == 0) return {begin, begin + static_cast<uintptr_t>(rows.size * item), written};
  const int64_t first = sweep.counts.first(space), last = sweep.counts.last(space);
  if (last <= first) return {begin, begin, written};
  return {begin + static_cast<uintptr_t>(first * rows.ld * item),
          begin + static_cast<uintptr_t>(((last - 1) * rows.ld + rows.size) * item), written};
}

std::vector<Range> ranges_of(const Sweep& sweep, const Segment& segment) {
  std::vector<Range> ranges;
  for (const Instruction& instruction : segment.instructions) {
    for (const int id : instruction.inputs) {
      // Integer inputs stand among what is staged, which nothing writes.
      const ValueSpec& value = sweep.exe.program.values[static_cast<size_t>(id)];
      if (value.role == Role::kInput && value.dtype == DType::kInt32) continue;
      ranges.push_back(range_of(sweep, id, false));
    }
    for (const int id : instruction.outputs) ranges.push_back(range_of(sweep, id, true));
  }
  return ranges;
}

bool clash(const std::vector<Range>& a, const std::vector<Range>& b) {
  for (const Range& x : a) {
    for (const Range& y : b) {
      if ((x.written || y.written) && x.begin < y.end && y.begin < x.end) return true;
    }
  }
  return false;
}

class Placer {
 public:
  explicit Placer(const Sweep& sweep) : segments_(sweep.exe.program.segments) {
    for (size_t s = 0; s < segments_.size(); ++s) {
      std::vector<Range> ranges = ranges_of(sweep, segments_[s]);
      if (segments_[s].kind == SegmentKind::kSums) {  // a part of the levels before it
        ranges_.back().insert(ranges_.back().end(), ranges.begin(), ranges.end());
      }
      ranges_.push_back(std::move(ranges));
    }
    places_.resize(segments_.size());
  }

  std::vector<SegmentPlace> place() {
    std::fill(tail_, tail_ + kStreams, -1);
    for (int s = 0; s < static_cast<int>(segments_.size()); ++s) {
      if (segments_[static_cast<size_t>(s)].kind == SegmentKind::kSums) {
        places_[static_cast<size_t>(s)].stream = places_[static_cast<size_t>(s) - 1].stream;
      } else {
        place_one(s);
      }
    }
    return std::move(places_);
  }

 private:
  void place_one(int s) {
    std::vector<int> needed;  // the latest on each stream that this one needs
    int latest = -1;
    for (int stream = 0; stream < kStreams; ++stream) {
      needed.push_back(latest_clash(s, stream));
      latest = std::max(latest, needed.back());
    }
    const int chosen = choose(needed, latest);
    SegmentPlace& place = places_[static_cast<size_t>(s)];
    place.stream = chosen;
    for (int stream = 0; stream < kStreams; ++stream) {
      const int other = needed[static_cast<size_t>(stream)];
      if (stream == chosen || other < 0) continue;
      place.after.push_back(other);
      places_[static_cast<size_t>(other)].awaited = true;
    }
    tail_[chosen] = s;
  }

  int latest_clash(int s, int stream) const {
    for (int other = s - 1; other >= 0; --other) {
      const auto o = static_cast<size_t>(other);
      const bool there = places_[o].stream == stream && segments_[o].kind != SegmentKind::kSums;
      if (there && clash(ranges_[o], ranges_[static_cast<size_t>(s)])) return other;
    }
    return -1;
  }

  // It goes on where the latest that it needs was the last; else where the last is one that it
  // needs anyhow, or where nothing is, or where the last began first.
  int choose(const std::vector<int>& needed, int latest) const {
    int best = 0;
    for (int stream = 0; stream < kStreams; ++stream) {
      const int tail = tail_[stream];
      if (tail == latest && (tail >= 0 || stream == 0)) return stream;
      if (tail < tail_[best]) best = stream;
    }
    for (int stream = 0; stream < kStreams; ++stream) {
      if (tail_[stream] == needed[static_cast<size_t>(stream)]) return stream;
    }
    return best;
  }

  const std::vector<Segment>& segments_;
  std::vector<std::vector<Range>> ranges_;  // [segment]
  std::vector<SegmentPlace> places_;
  int tail_[kStreams];  // the last segment on each stream
};

}  // namespace

std::vector<SegmentPlace> place_segments(const Sweep& sweep, bool one) {
  const size_t count = sweep.exe.program.segments.size();
  return one || count < 3 ? std::vector<SegmentPlace>(count) : Placer(sweep).place();
}

Lanes::Lanes(OpenGpu& open, const Stream& first, const std::vector<SegmentPlace>& places)
    : open_(open), first_(first), places_(places), done_(places.size()) {
  const bool beside = std::any_of(places.begin(), places.end(),
                                  [](const SegmentPlace& place) { return place.stream != 0; });
  if (!beside) return;
  begun_ = std::make_unique<Event>();
  first_.record(*begun_);
}

const Stream& Lanes::enter(size_t segment) {
  const SegmentPlace& place = places_[segment];
  const Stream& stream = of(place.stream);
  if (place.stream != 0 && !used_[place.stream]) stream.wait(*begun_);
  used_[place.stream] = true;
  for (const int other : place.after) stream.wait(*done_[static_cast<size_t>(other)]);
  return stream;
}

void Lanes::leave(size_t segment) {
  if (!places_[segment].awaited) return;
  done_[segment] = std::make_unique<Event>();
  of(places_[segment].stream).record(*done_[segment]);
}

void Lanes::join() {
  for (int i = 1; i < kStreams; ++i) {
    if (!used_[i]) continue;
    const Event event;
    of(i).record(event);
    first_.wait(event);
  }
}

}  // namespace cavs::cuda
