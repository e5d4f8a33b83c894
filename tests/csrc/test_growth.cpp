// Where states of growing graphs stand, against memory that is moved as StateRows says.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "check.h"
#include "graph/state_rows.h"

namespace {

using cavs::StateRows;
using Rows = std::vector<int32_t>;

// An array of a growth: each row holds the number of its vertex, or -1.
class Memory {
 public:
  void extend(StateRows* rows, int64_t first, const Rows& order) {
    if (rows->extend(first, order)) {
      Rows other(static_cast<size_t>(rows->room()), -1);
      for (const StateRows::Move& move : rows->moves()) {
        CHECK(move.to <= move.from && move.count > 0);
        for (int64_t i = 0; i < move.count; ++i) {
          other[other.size() - 1 - (move.to + i)] = at_[at_.size() - 1 - (move.from + i)];
        }
      }
      at_ = std::move(other);
    }
    const size_t begin = at_.size() - static_cast<size_t>(rows->size());
    for (size_t row = 0; row < order.size(); ++row) {
      at_[begin + row] = static_cast<int32_t>(first) + order[row];
    }
  }

  int32_t of(const StateRows& rows, int64_t vertex) const {
    return at_[at_.size() - static_cast<size_t>(rows.size() - rows.row(vertex))];
  }

 private:
  Rows at_;
};

// Levels of up to `most` vertices, of which all but some are forgotten.
void test_random_levels(uint32_t seed, int most, double dropped) {
  std::mt19937 draw(seed);
  StateRows rows;
  Memory memory;
  std::set<int64_t> held;
  int64_t first = 0, moved = 0, largest = 0;
  for (int level = 0; level < 400; ++level) {
    Rows order(draw() % static_cast<uint32_t>(most + 1));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), draw);
    const int64_t room = rows.room();
    memory.extend(&rows, first, order);
    if (rows.room() != room) {
      for (const auto& move : rows.moves()) moved += move.count;
    }
    for (size_t v = 0; v < order.size(); ++v) held.insert(first + static_cast<int64_t>(v));
    first += static_cast<int64_t>(order.size());
    largest = std::max(largest, rows.held());
    CHECK(rows.size() <= rows.room() && rows.held() == static_cast<int64_t>(held.size()));
    for (const int64_t vertex : held) CHECK(memory.of(rows, vertex) == vertex);
    std::bernoulli_distribution drops(dropped);
    for (auto it = held.begin(); it != held.end();) {
      if (!drops(draw)) {
        ++it;
        continue;
      }
      rows.forget(*it);
      rows.forget(*it);  // again: nothing
      CHECK(!rows.holds(*it));
      it = held.erase(it);
    }
  }
  CHECK(rows.room() <= std::max<int64_t>(64, 2 * (largest + most)));
  CHECK(moved <= 2 * first);
}

}  // namespace

int main() {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    test_random_levels(seed, 20, 0.0);
    test_random_levels(seed, 20, 0.05);
    test_random_levels(seed, 20, 0.9);
    test_random_levels(seed, 200, 1.0);
    test_random_levels(seed, 1, 0.5);
  }
  return cavs_test::result();
}
