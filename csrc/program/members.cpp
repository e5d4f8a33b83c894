// What the types of a program say of its spaces and segments.
#include <algorithm>

#include "program/program.h"

namespace cavs {

bool has_members(const Program& program, int whole, int part) {
  if (whole == part) return true;
  if (whole < 0 || part < 0) return false;
  const Members& all = program.member_sets[static_cast<size_t>(whole)];
  const Members& some = program.member_sets[static_cast<size_t>(part)];
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

bool is_part(const Program& program, const Space& part, const Space& whole) {
  const bool kinds =
      whole.kind == part.kind || (whole.kind == SpaceKind::kVertex && is_vertex_rows(part.kind));
  return kinds && whole.unique == part.unique && has_members(program, whole.members, part.members);
}

SegmentRange taking_turns(const Program& program, size_t segment) {
  const auto& segments = program.segments;
  SegmentRange range{segment, segment + 1};
  if (!by_levels(segments[segment].kind)) return range;
  const auto joins = [&](size_t before, size_t after) {
    if (!by_levels(segments[before].kind) || !by_levels(segments[after].kind)) return false;
    return program.num_types > 0 || segments[after].kind == SegmentKind::kSums;
  };
  while (range.first > 0 && joins(range.first - 1, range.first)) --range.first;
  while (range.last < segments.size() && joins(range.last - 1, range.last)) ++range.last;
  return range;
}

}  // namespace cavs
