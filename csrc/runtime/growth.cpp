// Keeps the states of graphs that grow, and runs the program over each level.
#include "runtime/growth.h"

#include <algorithm>

#include "base/error.h"
#include "runtime/row_counts.h"

namespace cavs {

std::byte* HeldRows::extend(int64_t rows) {
  const int64_t capacity = block_ ? (block_->bytes() - kAlignment) / row_bytes_ : 0;
  if (rows_ + rows > capacity) {
    const int64_t wanted = std::max<int64_t>({rows_ + rows, 2 * capacity, 64});
    auto larger =
        std::make_unique<Block>(allocator_, checked_bytes(wanted, row_bytes_, 1) + kAlignment);
    const int64_t used = rows_ * row_bytes_;
    if (used > 0) {
      allocator_.copy(larger->data() + wanted * row_bytes_ - used,
                      block_->data() + capacity * row_bytes_ - used, used);
    }
    block_ = std::move(larger);
  }
  rows_ += rows;
  const int64_t room = (block_->bytes() - kAlignment) / row_bytes_;
  return block_->data() + (room - rows_) * row_bytes_;
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
    arrays.states.push_back({states_[i].extend(level_->num_vertices), 0, value.dtype});
  }
  {
    Run run(exe_, *level_, graph_keys_, random_, false);
    run.forward(arrays, num_threads);
  }
  level_.reset();
  failed_ = false;
}

}  // namespace cavs
