// The operations of a group for several vectors of a row, side by side.
#pragma once

#include <utility>
#include <vector>

#include "group/vector_code.h"

namespace cavs {

// An operation for one of the vectors, and the readers of its value.
struct UnrolledNode {
  VectorNode node;
  int copy;                                  // which vector
  std::vector<int> uses;                     // numbers of the operations that read it, ascending
  std::vector<std::pair<int, int>> outputs;  // outputs, and for which vector

  bool is_source() const { return node.op == VectorOp::kInput || node.op == VectorOp::kConstant; }
  bool is_wanted() const { return !uses.empty() || !outputs.empty(); }
  int num_arguments() const { return kNumArguments[static_cast<int>(node.op)]; }
};

// Repeats each operation `copies` times, one copy next to the other, so that the processor finds
// operations that do not wait for each other. A value that is the same for all vectors is made
// once. `narrow` and `outputs` have the meaning that they have for emit_rows.
std::vector<UnrolledNode> unroll(const VectorCode& code, const std::vector<bool>& narrow,
                                 const std::vector<int>& outputs, int copies);

// The most values that are computed but not yet read for the last time.
int most_live(const std::vector<UnrolledNode>& nodes);

}  // namespace cavs
