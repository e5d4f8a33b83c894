// The arguments of the kernels of attention over children.
#pragma once

#include "cuda/kernels/call.h"

namespace cavs::cuda {

// By which edges' numbers weights are dropped; none is where `zeroed` is 0. `graph`: [vertex
// row], `local`: [edge row].
struct WeightDropout {
  const RandomState* state = nullptr;
  const long long* graph_key = nullptr;
  const int *graph = nullptr, *local = nullptr;
  unsigned op = 0;
  int zeroed = 0;  // numbers below zero a weight
};

// Operands as of csrc/program/attention_check.h; those that are not there have no data. The edges
// to a vertex's children are child_ptr[row] .. child_ptr[row + 1] - 1, those in which it is the
// child stand in out_edge from out_ptr[row] on.
struct AttentionCall {
  Operand q, k, v, position, bias, result, d_out;
  Operand d_query, d_children, d_bias;
  const int *child_ptr = nullptr, *child = nullptr;
  const int *out_ptr = nullptr, *out_edge = nullptr, *parent = nullptr;
  int heads = 1, size = 1, values = 1, positions = 0, biases = 0;
  WeightDropout dropout;
  Rows rows;
};

}  // namespace cavs::cuda
