// Divides the rows of batches among threads.
#include "cpu/turns.h"

#include <cmath>

namespace cavs {

bool find_turn(const CpuProgram& prepared, const Schedule& schedule,
               const std::vector<int>& segments, int64_t batch, Turn* turn) {
  const Batch& rows = schedule.batches[static_cast<size_t>(batch)];
  const int s = segments[static_cast<size_t>(rows.type)];
  if (s < 0) return false;
  const int64_t inner = schedule.types[static_cast<size_t>(rows.type)].inner;
  if (prepared.segments[static_cast<size_t>(s)].inner && rows.end <= inner) return false;
  *turn = {s, batch, rows.begin, rows.end, 0};
  return true;
}

void find_turns(const CpuProgram& prepared, const Schedule& schedule,
                const std::vector<int>& segments, size_t step, bool backward, Turns* turns) {
  turns->turns.clear();
  turns->rows = 0;
  turns->cost_ns = 0;
  const int32_t first = schedule.step_ptr[step], last = schedule.step_ptr[step + 1];
  for (int32_t i = first; i < last; ++i) {
    const int32_t number = backward ? last - 1 - (i - first) : i;
    Turn turn;
    if (!find_turn(prepared, schedule, segments, number, &turn)) continue;
    const PreparedSegment& segment = prepared.segments[static_cast<size_t>(turn.segment)];
    turn.cost_ns = segment.cost_ns(schedule, turn.begin, turn.end);
    turns->rows += turn.rows();
    turns->cost_ns += turn.cost_ns;
    turns->turns.push_back(turn);
  }
}

TurnRow first_of_part(const CpuProgram& prepared, const Schedule& schedule, const Turns& turns,
                      int part, int parts) {
  constexpr double kSmall = 0.2;  // of an even share
  constexpr int64_t kFine = 1024;
  const double even = turns.cost_ns / parts;
  double left = even * part;
  if (part == parts) return {turns.turns.size(), 0};
  for (size_t t = 0; t < turns.turns.size(); ++t) {
    const Turn& turn = turns.turns[t];
    if (left <= kSmall * even) return {t, turn.begin};
    if (turn.cost_ns - left > kSmall * even) {
      const auto share = static_cast<int64_t>(std::llround(left / turn.cost_ns * kFine));
      const PreparedSegment& segment = prepared.segments[static_cast<size_t>(turn.segment)];
      return {t, row_at(segment, schedule, turn.begin, turn.end, share, kFine)};
    }
    left -= turn.cost_ns;
  }
  return {turns.turns.size(), 0};
}

int64_t row_at(const PreparedSegment& segment, const Schedule& schedule, int64_t begin, int64_t end,
               int64_t share, int64_t whole) {
  const auto& lists = segment.edges;
  if (lists.empty()) return begin + (end - begin) * share / whole;
  const auto weight = [&](int64_t row) {
    int64_t sum = row - begin;
    for (const PreparedSegment::Edges& each : lists) {
      const auto& ptr = schedule.edges[static_cast<size_t>(each.list)].ptr;
      sum += ptr[row] - ptr[begin];
    }
    return sum;
  };
  const int64_t target = weight(end) * share / whole;
  int64_t low = begin, high = end;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (weight(middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace cavs
