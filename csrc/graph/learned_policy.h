// A policy that is learned: a finite-state machine, as in ED-Batch (Chen et al., ICML 2023).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "graph/batching.h"

namespace cavs {

struct LearnedPolicy {
  using State = std::vector<int32_t>;  // the types with ready vertices, those with most first
  std::map<State, int32_t> table;      // to the type that runs next, one of the state

  // A state that is not in the table runs the type with the most ready vertices.
  size_t operator()(const Frontier& frontier) const;
};

struct Learned {
  LearnedPolicy policy;
  int64_t batches = 0;   // that it makes of all that it was learned on
  int64_t episodes = 0;  // batches that were scheduled to learn
};

// Learns by tabular Q-learning on some batches, over and over, and keeps the best policy on the
// way. A batch of vertices costs 1, less what it takes off the lower bound: a potential, which
// leaves the best policy what it is (Ng, Harada & Russell 1999).
Learned learn_policy(const std::vector<const GraphBatch*>& batches, const TypeOrder& order,
                     uint64_t seed);

}  // namespace cavs
