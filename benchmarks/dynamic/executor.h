// Runs a graph batch by batch, forward and in reverse.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "dynamic/batching.h"
#include "dynamic/graph.h"
#include "dynamic/kernels.h"

namespace cavs::dynamic {

// Seconds, and what was called, since the last reset.
struct Account {
  double batching = 0;     // signatures, order, places
  double memory = 0;       // copies that bring operands together, and gradients back apart
  double computation = 0;  // kernels
  int64_t nodes = 0;       // computed forward
  int64_t batches = 0;     // forward and backward
  int64_t launches = 0;    // of kernels
  int64_t copies = 0;      // operands that were gathered or given back
  int64_t bytes = 0;       // that these copies read and wrote
};

class Executor {
 public:
  Executor(Graph* graph, Policy policy) : graph_(graph), batcher_(policy) {}

  // Computes all nodes.
  void forward();
  // Adds the gradients of a node of size 1 to those of the parameters; after forward().
  void backward(int32_t node);
  // The values of a node, after forward().
  const float* value(int32_t node) const;
  // Called when the graph is cleared.
  void forget() { plan_ = nullptr; }

  const Account& account() const { return account_; }
  void reset_account() { account_ = {}; }

 private:
  using Clock = std::chrono::steady_clock;

  // Where the gradient of an operand goes.
  struct Target {
    float* data;
    bool accumulate;  // else what is there has no meaning
    bool whole;       // the memory up to the next multiple of kUnit is its own
  };

  const int32_t* nodes(const Batch& batch) const { return plan_->order.data() + batch.first; }
  const BatchOperand& operand(const Batch& batch, int j) const {
    return plan_->operands[static_cast<size_t>(batch.first_operand + j)];
  }
  const float* operand_values(const Batch& batch, int j) const;
  int64_t arg_size(const Batch& batch, int j) const;
  float* node_value(int32_t node) const {
    return values_.data() + plan_->offset[static_cast<size_t>(node)];
  }
  float* node_grad(int32_t node) const {
    return gradients_.data() + plan_->offset[static_cast<size_t>(node)];
  }
  // The gradient of a node, made zero before its first use.
  float* touched_grad(int32_t node);
  void touch(int32_t batch);

  void gather(const Batch& batch, int j);
  const int32_t* collect_data(const Batch& batch);
  void run(const Batch& batch);
  void run_leaf(const Batch& batch);
  void run_affine(const Batch& batch);
  void run_sum(const Batch& batch);
  void run_concat(const Batch& batch);
  void run_pick_range(const Batch& batch);
  void run_matvec(const Batch& batch);
  void run_loss(const Batch& batch);
  void run_elementwise(const Batch& batch);

  Target open(const Batch& batch, int j);
  void close(const Batch& batch, int j);
  void give_back(const Batch& batch, int j, const float* rows);
  void give(const Batch& batch, int j, Formula formula, const float* a, const float* b = nullptr,
            const float* c = nullptr);
  void backward_batch(const Batch& batch);
  void backward_leaf(const Batch& batch);
  void backward_affine(const Batch& batch);
  void backward_sum(const Batch& batch);
  void backward_concat(const Batch& batch);
  void backward_pick_range(const Batch& batch);
  void backward_matvec(const Batch& batch);
  void backward_loss(const Batch& batch);

  Graph* graph_;
  Batcher batcher_;
  Kernels kernels_;
  const Plan* plan_ = nullptr;
  FloatBuffer values_, gathered_, gradients_, returned_, temporary_;  // the last two: for one call
  std::vector<uint8_t> touched_;  // by batch: whether its gradients have a meaning
  std::vector<int32_t> data_;
  Account account_;
};

}  // namespace cavs::dynamic
