// Keeps the states of graphs that grow, and runs the program over each level.
#include "runtime/growth.h"

#include <algorithm>

#include "base/error.h"
#include "runtime/row_counts.h"

namespace cavs {

void HeldRows::move(int64_t room, const std::vector<StateRows::Move>& moves) {
  auto other = std::make_unique<Block>(allocator_, checked_bytes(room, row_bytes_, 1) + kAlignment);
  for (const StateRows::Move& move : moves) {  // places are counted from the end
    if (row_bytes_ == 0) break;
    allocator_.copy(other->data() + (room - move.to - move.count) * row_bytes_,
                    end(room_) - (move.from + move.count) * row_bytes_, move.count * row_bytes_);
  }
  block_ = std::move(other);
  room_ = room;
}

Growth::Growth(std::shared_ptr<const Executable> exe, GrowthRules rules,
               std::vector<int64_t> graph_keys, const RandomContext& random)
    : exe_(std::move(exe)),
      graph_keys_(std::move(graph_keys)),
      random_(random),
      graphs_(static_cast<int64_t>(graph_keys_.size()), std::move(rules)) {
  CAVS_CHECK(exe_->holds_states, ErrorKind::kValue,
             "[growth] expected a program that holds its states, got another; make it with "
             "hold_states=True");
  for (const int id : exe_->held_states) {
    const ValueSpec& value = exe_->program.values[static_cast<size_t>(id)];
    states_.emplace_back(exe_->backend->allocator(), value.size * item_size(value.dtype));
  }
}

void Growth::open(const NewVertices& vertices) {
  CAVS_CHECK(!failed_ && !level_, ErrorKind::kRuntime,
             "[growth] expected the level before to be computed, got another one, or one after an "
             "error; begin anew");
  level_ = graphs_.open(vertices);
}

int64_t Growth::rows(const Space& space) const {
  check_open();
  return RowCounts(exe_->program, *level_).of(space);
}

int64_t Growth::state_bytes() const {
  int64_t bytes = 0;
  for (const HeldRows& state : states_) bytes += state.bytes();
  return bytes;
}

void Growth::check_open() const {
  CAVS_CHECK(level_.has_value() && !failed_, ErrorKind::kRuntime,
             "[growth] expected vertices to be opened first, got none, or an error before; call "
             "open(), or begin anew");
}

void Growth::run(ArrayLists arrays, int num_threads) {
  check_open();
  check_threads(num_threads);
  failed_ = true;
  for (size_t i = 0; i < states_.size(); ++i) {
    const ValueSpec& value = exe_->program.values[static_cast<size_t>(exe_->held_states[i])];
    const StateRows& rows = graphs_.states();
    if (graphs_.moves_states()) states_[i].move(rows.room(), rows.moves());
    arrays.states.push_back({states_[i].first(rows.size()), 0, value.dtype});
  }
  {
    Run run(exe_, *level_, graph_keys_, random_, false);
    run.forward(arrays, num_threads);
  }
  level_.reset();
  failed_ = false;
}

}  // namespace cavs
