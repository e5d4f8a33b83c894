// Where the states of growing graphs stand: rows of vertices that are forgotten are given back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cavs {

// Rows of states stand in arrays that grow at their beginning, so that new rows are rows 0, 1, ...
// The place of a row is counted from the end of the array, and so stays when rows are put before
// it. Rows that are given back are used again when room runs short: then the others move together.
class StateRows {
 public:
  // Rows that move to the end of an array with other room: `count` of them, from a place to a place
  // that is not greater.
  struct Move {
    int64_t from = 0, to = 0, count = 0;
  };

  // Puts `count` rows of new vertices, `first` and those behind, before the others; `order` is the
  // new vertex of each row. Returns whether the rows that were there are to be moved by moves()
  // into arrays of room() rows.
  bool extend(int64_t first, const std::vector<int32_t>& order);
  // Gives back the row of a vertex.
  void forget(int64_t vertex);

  bool holds(int64_t vertex) const { return place_[static_cast<size_t>(vertex)] >= 0; }
  // The row of a vertex that is there.
  int64_t row(int64_t vertex) const { return size() - 1 - place_[static_cast<size_t>(vertex)]; }

  int64_t size() const { return static_cast<int64_t>(vertex_.size()); }  // given back ones included
  int64_t held() const { return held_; }
  int64_t room() const { return room_; }
  const std::vector<Move>& moves() const { return moves_; }  // of the last extend()

 private:
  void make_room(int64_t count);

  std::vector<int32_t> place_;   // [vertex] -1: given back
  std::vector<int32_t> vertex_;  // [place]
  std::vector<Move> moves_;
  int64_t held_ = 0, room_ = 0;
};

}  // namespace cavs
