// Which nodes run together, and where their values stand (Neubig, Goldberg and Dyer 2017,
// "On-the-fly operation batching in dynamic computation graphs").
#pragma once

#include <cstdint>
#include <vector>

#include "dynamic/graph.h"

namespace cavs::dynamic {

enum class Policy : uint8_t {
  kNone,    // node by node, as declared
  kDepth,   // nodes of one signature at one depth
  kAgenda,  // of what is ready, the signature whose nodes have the least average depth
};

// Nodes of one signature; their values stand side by side.
struct Batch {
  Op op;
  int32_t first, count;   // in Plan::order
  int64_t value;          // offset of the values in floats
  int32_t first_operand;  // in Plan::operands: one for each argument of a node
};

// One argument of all nodes of a batch: where it stands in one piece.
struct BatchOperand {
  bool gathered;     // copied together first, since it does not stand so already
  int64_t offset;    // among gathered operands, or among values
  int32_t batch;     // not gathered: it is part of this batch's values,
  int32_t position;  // from this node on
};

struct Plan {
  std::vector<int32_t> order;  // nodes
  std::vector<Batch> batches;
  std::vector<BatchOperand> operands;
  std::vector<int64_t> offset;    // node -> its value
  std::vector<int32_t> batch_of;  // node -> its batch
  int64_t num_values = 0;         // floats
  int64_t num_gathered = 0;
  int64_t largest_gathered = 0;
};

// Sums of more arguments than this read them one by one and gather nothing.
constexpr int32_t kMostGatheredTerms = 8;

// Whether arguments of this node are read as one contiguous operand for its whole batch.
bool reads_contiguous(const Node& node);

class Batcher {
 public:
  explicit Batcher(Policy policy) : policy_(policy) {}
  // All nodes of the graph.
  const Plan& plan(Graph* graph);

 private:
  void one_by_one(const Graph& graph);
  void by_depth(const Graph& graph);
  void by_agenda(const Graph& graph);
  void find_signatures(Graph* graph);
  void find_depths(const Graph& graph);
  void find_consumers(const Graph& graph);
  void append(int32_t node);
  void take_list(int32_t signature);
  void close_batch(size_t first);
  void place(const Graph& graph);
  void place_operands(const Graph& graph, Batch* batch);

  Policy policy_;
  Plan plan_;
  std::vector<int32_t> signature_, depth_;
  std::vector<int32_t> consumer_ptr_, consumers_, pending_;
  std::vector<int32_t> head_, tail_, next_, active_;  // lists of nodes by signature
  std::vector<int32_t> depth_ptr_, by_depth_;
  std::vector<double> average_depth_;
  std::vector<int32_t> num_nodes_;
};

}  // namespace cavs::dynamic
