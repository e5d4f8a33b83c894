// Runs a function over graphs that grow: each level over its new vertices alone, beside the states
// of all vertices before.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "graph/grown_graphs.h"
#include "memory/allocator.h"
#include "runtime/arrays.h"
#include "runtime/executable.h"
#include "runtime/random_context.h"
#include "runtime/run.h"

namespace cavs {

// The rows of a state that the caller of runs holds. They stand at the end of a block, so that new
// rows are put before those that are there.
class HeldRows {
 public:
  HeldRows(Allocator& allocator, int64_t row_bytes)
      : allocator_(allocator), row_bytes_(row_bytes) {}

  // Moves the rows that are there into a block of other room; see StateRows.
  void move(int64_t room, const std::vector<StateRows::Move>& moves);
  // The address of the first of `rows` rows.
  std::byte* first(int64_t rows) const { return end(room_) - rows * row_bytes_; }
  int64_t bytes() const { return block_ ? block_->bytes() : 0; }

 private:
  std::byte* end(int64_t room) const { return block_->data() + room * row_bytes_; }

  Allocator& allocator_;
  const int64_t row_bytes_;
  int64_t room_ = 0;
  std::unique_ptr<Block> block_;
};

class Growth {
 public:
  // The program holds its states (see Executable::held_states). One key for each graph.
  Growth(std::shared_ptr<const Executable> exe, GrowthRules rules, std::vector<int64_t> graph_keys,
         const RandomContext& random);

  const GrownGraphs& graphs() const { return graphs_; }
  const Executable& executable() const { return *exe_; }
  // Of the states that are held.
  int64_t state_bytes() const;

  // Opens the vertices of a level; see GrownGraphs::open. To be followed by run().
  void open(const NewVertices& vertices);
  // Rows of a value of this space in the level that is open.
  int64_t rows(const Space& space) const;

  // Computes the vertices that were opened last. Inputs and outputs have rows for these, and for
  // all graphs. After an exception of a kernel the growth cannot go on.
  void run(ArrayLists arrays, int num_threads);

 private:
  void check_open() const;

  const std::shared_ptr<const Executable> exe_;
  const std::vector<int64_t> graph_keys_;
  const RandomContext random_;
  GrownGraphs graphs_;
  std::vector<HeldRows> states_;
  std::optional<Schedule> level_;
  bool failed_ = false;
};

}  // namespace cavs
