#include "dynamic/batching.h"

#include <algorithm>
#include <numeric>

namespace cavs::dynamic {

bool reads_contiguous(const Node& node) {
  switch (node.op) {
    case Op::kConcat:
    case Op::kPickRange:
      return false;
    case Op::kSum:
      return node.num_args <= kMostGatheredTerms;
    default:
      return true;
  }
}

const Plan& Batcher::plan(Graph* graph) {
  plan_.order.clear();
  plan_.batches.clear();
  plan_.operands.clear();
  switch (policy_) {
    case Policy::kNone:
      one_by_one(*graph);
      break;
    case Policy::kDepth:
      find_signatures(graph);
      find_depths(*graph);
      by_depth(*graph);
      break;
    case Policy::kAgenda:
      find_signatures(graph);
      find_depths(*graph);
      find_consumers(*graph);
      by_agenda(*graph);
      break;
  }
  place(*graph);
  return plan_;
}

void Batcher::one_by_one(const Graph& graph) {
  for (int32_t i = 0; i < graph.size(); ++i) {
    plan_.order.push_back(i);
    close_batch(static_cast<size_t>(i));
  }
}

// What stands in the order from `first` on is a batch.
void Batcher::close_batch(size_t first) {
  Batch batch = {};
  batch.first = static_cast<int32_t>(first);
  batch.count = static_cast<int32_t>(plan_.order.size() - first);
  plan_.batches.push_back(batch);
}

void Batcher::find_signatures(Graph* graph) {
  const auto n = static_cast<size_t>(graph->size());
  signature_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    signature_[i] = graph->signature(graph->node(static_cast<int32_t>(i)));
  }
  const auto count = static_cast<size_t>(graph->num_signatures());
  head_.assign(count, -1);
  tail_.resize(count);
  next_.resize(n);
}

void Batcher::find_depths(const Graph& graph) {
  const auto n = static_cast<size_t>(graph.size());
  depth_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const Node& node = graph.node(static_cast<int32_t>(i));
    const int32_t* args = graph.args(node);
    int32_t depth = 0;
    for (int32_t j = 0; j < node.num_args; ++j) {
      depth = std::max(depth, depth_[static_cast<size_t>(args[j])] + 1);
    }
    depth_[i] = depth;
  }
}

void Batcher::find_consumers(const Graph& graph) {
  const auto n = static_cast<size_t>(graph.size());
  consumer_ptr_.assign(n + 1, 0);
  pending_.resize(n);
  consumers_.resize(static_cast<size_t>(graph.num_args()));
  for (size_t i = 0; i < n; ++i) {
    const Node& node = graph.node(static_cast<int32_t>(i));
    pending_[i] = node.num_args;
    for (int32_t j = 0; j < node.num_args; ++j) {
      ++consumer_ptr_[static_cast<size_t>(graph.args(node)[j])];
    }
  }
  // Ends first; filling from the last node on moves each to its begin.
  std::partial_sum(consumer_ptr_.begin(), consumer_ptr_.end(), consumer_ptr_.begin());
  for (size_t i = n; i-- > 0;) {
    const Node& node = graph.node(static_cast<int32_t>(i));
    for (int32_t j = 0; j < node.num_args; ++j) {
      int32_t& place = consumer_ptr_[static_cast<size_t>(graph.args(node)[j])];
      consumers_[static_cast<size_t>(--place)] = static_cast<int32_t>(i);
    }
  }
}

void Batcher::by_depth(const Graph& graph) {
  const auto n = static_cast<size_t>(graph.size());
  const int32_t deepest = n == 0 ? -1 : *std::max_element(depth_.begin(), depth_.end());
  depth_ptr_.assign(static_cast<size_t>(deepest) + 2, 0);
  for (const int32_t depth : depth_) ++depth_ptr_[static_cast<size_t>(depth) + 1];
  std::partial_sum(depth_ptr_.begin(), depth_ptr_.end(), depth_ptr_.begin());
  by_depth_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    by_depth_[static_cast<size_t>(depth_ptr_[static_cast<size_t>(depth_[i])]++)] =
        static_cast<int32_t>(i);
  }
  size_t begin = 0;
  for (size_t depth = 0; depth + 1 < depth_ptr_.size(); ++depth) {
    const auto end = static_cast<size_t>(depth_ptr_[depth]);
    for (; begin < end; ++begin) append(by_depth_[begin]);
    for (const int32_t signature : active_) take_list(signature);
    active_.clear();
  }
}

// Adds a node to the list of its signature.
void Batcher::append(int32_t node) {
  const auto signature = static_cast<size_t>(signature_[static_cast<size_t>(node)]);
  next_[static_cast<size_t>(node)] = -1;
  if (head_[signature] < 0) {
    head_[signature] = node;
    active_.push_back(static_cast<int32_t>(signature));
  } else {
    next_[static_cast<size_t>(tail_[signature])] = node;
  }
  tail_[signature] = node;
}

// Makes the list of a signature a batch.
void Batcher::take_list(int32_t signature) {
  const size_t first = plan_.order.size();
  int32_t& head = head_[static_cast<size_t>(signature)];
  for (int32_t node = head; node >= 0; node = next_[static_cast<size_t>(node)]) {
    plan_.order.push_back(node);
  }
  head = -1;
  close_batch(first);
}

void Batcher::by_agenda(const Graph& graph) {
  const auto n = static_cast<size_t>(graph.size());
  average_depth_.assign(head_.size(), 0);
  num_nodes_.assign(head_.size(), 0);
  for (size_t i = 0; i < n; ++i) {
    average_depth_[static_cast<size_t>(signature_[i])] += depth_[i];
    ++num_nodes_[static_cast<size_t>(signature_[i])];
  }
  for (size_t s = 0; s < average_depth_.size(); ++s) {
    average_depth_[s] /= std::max(num_nodes_[s], 1);
  }
  for (size_t i = 0; i < n; ++i) {
    if (pending_[i] == 0) append(static_cast<int32_t>(i));
  }
  while (!active_.empty()) {
    const auto least = std::min_element(active_.begin(), active_.end(), [&](int32_t a, int32_t b) {
      return average_depth_[static_cast<size_t>(a)] < average_depth_[static_cast<size_t>(b)];
    });
    const int32_t signature = *least;
    *least = active_.back();
    active_.pop_back();
    const size_t first = plan_.order.size();
    take_list(signature);
    for (size_t k = first; k < plan_.order.size(); ++k) {
      const auto node = static_cast<size_t>(plan_.order[k]);
      for (int32_t c = consumer_ptr_[node]; c < consumer_ptr_[node + 1]; ++c) {
        const int32_t consumer = consumers_[static_cast<size_t>(c)];
        if (--pending_[static_cast<size_t>(consumer)] == 0) append(consumer);
      }
    }
  }
}

void Batcher::place(const Graph& graph) {
  const auto n = static_cast<size_t>(graph.size());
  plan_.offset.resize(n);
  plan_.batch_of.resize(n);
  plan_.num_values = plan_.num_gathered = plan_.largest_gathered = 0;
  for (size_t b = 0; b < plan_.batches.size(); ++b) {
    Batch& batch = plan_.batches[b];
    const int32_t* nodes = plan_.order.data() + batch.first;
    const Node& first = graph.node(nodes[0]);
    const int64_t size = first.size();
    batch.op = first.op;
    batch.value = plan_.num_values;
    for (int32_t i = 0; i < batch.count; ++i) {
      plan_.offset[static_cast<size_t>(nodes[i])] = batch.value + i * size;
      plan_.batch_of[static_cast<size_t>(nodes[i])] = static_cast<int32_t>(b);
    }
    plan_.num_values += round_to_unit(batch.count * size);
    batch.first_operand = static_cast<int32_t>(plan_.operands.size());
    if (reads_contiguous(first)) place_operands(graph, &batch);
  }
}

void Batcher::place_operands(const Graph& graph, Batch* batch) {
  const int32_t* nodes = plan_.order.data() + batch->first;
  const Node& first = graph.node(nodes[0]);
  for (int32_t j = 0; j < first.num_args; ++j) {
    const auto arg = static_cast<size_t>(graph.args(first)[j]);
    const int64_t size = graph.node(static_cast<int32_t>(arg)).size();
    const int32_t producer = plan_.batch_of[arg];
    BatchOperand operand = {false, plan_.offset[arg], producer, 0};
    for (int32_t i = 1; i < batch->count && !operand.gathered; ++i) {
      const auto other = static_cast<size_t>(graph.args(graph.node(nodes[i]))[j]);
      operand.gathered =
          plan_.batch_of[other] != producer || plan_.offset[other] != operand.offset + i * size;
    }
    if (operand.gathered) {
      operand.offset = plan_.num_gathered;
      const int64_t floats = round_to_unit(batch->count * size);
      plan_.num_gathered += floats;
      plan_.largest_gathered = std::max(plan_.largest_gathered, floats);
    } else {
      const int64_t begin = plan_.batches[static_cast<size_t>(producer)].value;
      operand.position = static_cast<int32_t>(size == 0 ? 0 : (operand.offset - begin) / size);
    }
    plan_.operands.push_back(operand);
  }
}

}  // namespace cavs::dynamic
