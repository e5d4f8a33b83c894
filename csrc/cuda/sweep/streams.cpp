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

// All rows of a value that are in use, with `columns` of the last one; of the others whole rows
// count, those of a view too.
Range range_of(const Sweep& sweep, int id, int64_t columns, bool written) {
  const ValueRows rows = rows_of(sweep, id);
  const Space& space = sweep.exe.program.values[static_cast<size_t>(id)].space;
  const int64_t item = item_size(sweep.exe.forms[id].dtype);
  const auto begin = reinterpret_cast<uintptr_t>(rows.data);
  if (rows.ld == 0) return {begin, begin + static_cast<uintptr_t>(rows.size * item), written};
  const Role role = sweep.exe.program.values[sweep.exe.roots[id].value].role;
  const bool external = role == Role::kInput || role == Role::kOutput;
  const int64_t first = external ? 0 : sweep.counts.first(space);
  const int64_t last = external ? sweep.counts.of(space) : sweep.counts.last(space);
  if (last <= first) return {begin, begin, written};
  return {begin + static_cast<uintptr_t>(first * rows.ld * item),
          begin + static_cast<uintptr_t>(((last - 1) * rows.ld + columns) * item), written};
}

std::vector<Range> ranges_of(const Sweep& sweep, const Segment& segment) {
  std::vector<Range> ranges;
  for (const Instruction& instruction : segment.instructions) {
    for (size_t i = 0; i < instruction.inputs.size(); ++i) {
      const int id = instruction.inputs[i];
      // Integer inputs stand among what is staged, which nothing writes.
      const ValueSpec& value = sweep.exe.program.values[static_cast<size_t>(id)];
      if (value.role == Role::kInput && value.dtype == DType::kInt32) continue;
      ranges.push_back(range_of(sweep, id, columns_read(sweep.exe.program, instruction, i), false));
    }
    for (const int id : instruction.outputs) {
      ranges.push_back(range_of(sweep, id, sweep.exe.forms[id].size, true));
    }
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
  explicit Placer(const Sweep& sweep) : count_(sweep.exe.program.segments.size()) {
    const Program& program = sweep.exe.program;
    for (size_t s = 0; s < count_; ++s) {
      std::vector<Range> ranges = ranges_of(sweep, program.segments[s]);
      first_.push_back(taking_turns(program, s).first);
      if (first_[s] < s) {
        auto& all = ranges_[first_[s]];
        all.insert(all.end(), ranges.begin(), ranges.end());
      }
      ranges_.push_back(std::move(ranges));
    }
    places_.resize(count_);
  }

  std::vector<SegmentPlace> place() {
    std::fill(tail_, tail_ + kStreams, -1);
    for (size_t s = 0; s < count_; ++s) {
      if (first_[s] < s) {
        places_[s].stream = places_[first_[s]].stream;
      } else {
        place_one(static_cast<int>(s));
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
      const bool there = places_[o].stream == stream && first_[o] == o;
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

  const size_t count_;                      // of segments
  std::vector<size_t> first_;               // [segment] the first of those that it takes turns with
  std::vector<std::vector<Range>> ranges_;  // [segment] of all that take turns with it
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
