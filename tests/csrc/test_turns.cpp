// Parts of a step have each row of its batches once, and cost about the same.
#include "cpu/turns.h"

#include <algorithm>
#include <random>
#include <vector>

#include "check.h"

using namespace cavs;

namespace {

// A program of one segment a type, and a schedule with one batch of each type.
struct Step {
  CpuProgram prepared;
  Schedule schedule;
  std::vector<int> segments;
  int32_t end = 0;

  void add(int64_t rows, double row_ns, const std::vector<int>& edges) {
    const auto type = static_cast<int>(schedule.types.size());
    PreparedSegment segment;
    segment.row_ns = row_ns;
    if (!edges.empty()) segment.edges.push_back({0, 2.0});
    segments.push_back(static_cast<int>(prepared.segments.size()));
    prepared.segments.push_back(segment);
    schedule.types.push_back({end, end, end + rows});
    schedule.batches.push_back({type, end, end + rows});
    if (schedule.edges.empty()) schedule.edges.push_back({});
    auto& ptr = schedule.edges[0].ptr;
    if (ptr.empty()) ptr.push_back(0);
    for (int64_t row = 0; row < rows; ++row) {
      ptr.push_back(ptr.back() + (edges.empty() ? 0 : edges[static_cast<size_t>(row)]));
    }
    end += static_cast<int32_t>(rows);
  }

  Turns turns(bool backward = false) {
    schedule.step_ptr = {0, static_cast<int32_t>(schedule.batches.size())};
    Turns found;
    find_turns(prepared, schedule, segments, 0, backward, &found);
    return found;
  }
};

// How often each row is in a part, and what each part costs.
void check_parts(const Step& step, const Turns& turns, int parts, double slack) {
  std::vector<int> times(static_cast<size_t>(step.end), 0);
  for (int part = 0; part < parts; ++part) {
    const TurnRow first = first_of_part(step.prepared, step.schedule, turns, part, parts);
    const TurnRow last = first_of_part(step.prepared, step.schedule, turns, part + 1, parts);
    double cost = 0;
    for (size_t t = first.turn; t < turns.turns.size() && t <= last.turn; ++t) {
      const Turn& turn = turns.turns[t];
      const int64_t begin = t == first.turn ? first.row : turn.begin;
      const int64_t end = t == last.turn ? last.row : turn.end;
      for (int64_t row = begin; row < end; ++row) ++times[static_cast<size_t>(row)];
      if (begin >= end) continue;
      const auto& segment = step.prepared.segments[static_cast<size_t>(turn.segment)];
      cost += segment.cost_ns(step.schedule, begin, end);
    }
    CHECK(cost <= turns.cost_ns / parts * 1.4 + slack);
  }
  CHECK(std::all_of(times.begin(), times.end(), [](int count) { return count == 1; }));
}

void test_random_steps() {
  std::mt19937 random(3);
  for (int trial = 0; trial < 500; ++trial) {
    Step step;
    double greatest = 0;  // cost of a row with its edges
    for (auto types = 1 + random() % 5; types > 0; --types) {
      const auto rows = static_cast<int64_t>(1 + random() % 40);
      const double row_ns = static_cast<double>(random() % 50);
      std::vector<int> edges;
      for (int64_t row = 0; row < rows && types % 2 == 0; ++row) {
        edges.push_back(static_cast<int>(random() % 4));
      }
      step.add(rows, row_ns, edges);
      greatest = std::max(greatest, row_ns + 6.0);
    }
    // Rows plus edges are what a batch is divided by: their costs may differ.
    for (const int parts : {1, 2, 3, 7}) {
      for (const bool backward : {false, true}) {
        const Turns turns = step.turns(backward);
        check_parts(step, turns, parts, 2 * greatest + turns.cost_ns * 0.3);
      }
    }
  }
}

void test_small_batches_stay_whole() {
  Step step;
  step.add(10, 5, {});
  step.add(11, 5, {});
  const Turns turns = step.turns();
  CHECK(turns.rows == 21 && turns.cost_ns == 105);
  const TurnRow middle = first_of_part(step.prepared, step.schedule, turns, 1, 2);
  CHECK(middle.turn == 1 && middle.row == 10);
}

void test_a_large_batch_is_divided() {
  Step step;
  step.add(30, 5, {});
  step.add(10, 5, {});
  const Turns turns = step.turns();
  const TurnRow middle = first_of_part(step.prepared, step.schedule, turns, 1, 2);
  CHECK(middle.turn == 0 && middle.row == 20);
  check_parts(step, turns, 2, 0);
}

void test_work_without_cost_goes_to_someone() {
  Step step;
  step.add(3, 0, {});
  step.add(2, 0, {});
  check_parts(step, step.turns(), 3, 0);
}

void test_backward_runs_in_reverse_and_leaves_out_leaves() {
  Step step;
  step.add(3, 1, {});
  step.add(2, 1, {});
  step.add(4, 1, {});
  step.segments[1] = -1;  // nothing runs this type's batches
  const Turns turns = step.turns(true);
  CHECK(turns.turns.size() == 2 && turns.turns[0].batch == 2 && turns.turns[1].batch == 0);
  step.prepared.segments[0].inner = true;
  step.schedule.types[0].inner = 3;
  CHECK(step.turns().turns.size() == 1);
}

}  // namespace

int main() {
  test_random_steps();
  test_small_batches_stay_whole();
  test_a_large_batch_is_divided();
  test_work_without_cost_goes_to_someone();
  test_backward_runs_in_reverse_and_leaves_out_leaves();
  return cavs_test::result();
}
