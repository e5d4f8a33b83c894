// Numbers the rows of states, and gives back those of vertices that are forgotten.
#include "graph/state_rows.h"

#include <algorithm>

namespace cavs {

namespace {

constexpr int64_t kLeastRoom = 64;

}  // namespace

bool StateRows::extend(int64_t first, const std::vector<int32_t>& order) {
  const auto count = static_cast<int64_t>(order.size());
  const bool moves = size() + count > room_;
  if (moves) make_room(count);
  place_.resize(static_cast<size_t>(first + count));
  for (int64_t row = count - 1; row >= 0; --row) {
    const int64_t vertex = first + order[static_cast<size_t>(row)];
    place_[static_cast<size_t>(vertex)] = static_cast<int32_t>(vertex_.size());
    vertex_.push_back(static_cast<int32_t>(vertex));
  }
  held_ += count;
  return moves;
}

// Afterwards there is room for at least as many more rows as were moved: moving costs a constant
// for each row that is put in, however long graphs grow.
void StateRows::make_room(int64_t count) {
  moves_.clear();
  int64_t to = 0;
  for (int64_t from = 0; from < size(); ++from) {
    const int32_t vertex = vertex_[static_cast<size_t>(from)];
    if (!holds(vertex)) continue;
    if (moves_.empty() || moves_.back().from + moves_.back().count < from) {
      moves_.push_back({from, to, 0});
    }
    ++moves_.back().count;
    place_[static_cast<size_t>(vertex)] = static_cast<int32_t>(to);
    vertex_[static_cast<size_t>(to++)] = vertex;
  }
  vertex_.resize(static_cast<size_t>(to));
  room_ = std::max(held_ == 0 ? count : 2 * (held_ + count), kLeastRoom);
}

void StateRows::forget(int64_t vertex) {
  if (!holds(vertex)) return;
  place_[static_cast<size_t>(vertex)] = -1;
  --held_;
}

}  // namespace cavs
