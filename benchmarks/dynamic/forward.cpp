// Forward: operands are gathered where they do not stand together, then one call computes a batch.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "dynamic/executor.h"

namespace cavs::dynamic {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Formula formula_of(Op op) {
  switch (op) {
    case Op::kTanh:
      return Formula::kTanh;
    case Op::kLogistic:
      return Formula::kLogistic;
    case Op::kExp:
      return Formula::kExp;
    case Op::kOneMinus:
      return Formula::kOneMinus;
    case Op::kSubtract:
      return Formula::kSubtract;
    case Op::kMultiply:
      return Formula::kMultiply;
    case Op::kDivide:
      return Formula::kDivide;
    default:
      fail(ErrorKind::kRuntime, "[dynamic] expected an elementwise operation, got number ",
           static_cast<int>(op), "; give it a case in Executor::run");
  }
}

}  // namespace

void Executor::forward() {
  const auto begin = Clock::now();
  plan_ = &batcher_.plan(graph_);
  account_.batching += seconds_since(begin);
  const auto planned = Clock::now();
  const double memory = account_.memory;
  const int64_t launches = kernels_.launches();
  values_.at_least(plan_->num_values);
  gathered_.at_least(plan_->num_gathered);
  for (const Batch& batch : plan_->batches) {
    if (reads_contiguous(graph_->node(nodes(batch)[0]))) {
      const int32_t num_args = graph_->node(nodes(batch)[0]).num_args;
      for (int j = 0; j < num_args; ++j) {
        if (operand(batch, j).gathered) gather(batch, j);
      }
    }
    run(batch);
  }
  account_.nodes += graph_->size();
  account_.batches += static_cast<int64_t>(plan_->batches.size());
  account_.launches += kernels_.launches() - launches;
  account_.computation += seconds_since(planned) - (account_.memory - memory);
}

const float* Executor::value(int32_t node) const {
  CAVS_CHECK(plan_ != nullptr && node >= 0 && static_cast<size_t>(node) < plan_->offset.size(),
             ErrorKind::kRuntime, "[dynamic] value: expected a computed expression, got ", node,
             "; call forward() first");
  return node_value(node);
}

const float* Executor::operand_values(const Batch& batch, int j) const {
  const BatchOperand& found = operand(batch, j);
  return (found.gathered ? gathered_ : values_).data() + found.offset;
}

int64_t Executor::arg_size(const Batch& batch, int j) const {
  const Node& first = graph_->node(nodes(batch)[0]);
  return graph_->node(graph_->args(first)[j]).size();
}

void Executor::gather(const Batch& batch, int j) {
  const auto begin = Clock::now();
  const int64_t size = arg_size(batch, j);
  float* target = gathered_.data() + operand(batch, j).offset;
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t arg = graph_->args(graph_->node(nodes(batch)[i]))[j];
    std::memcpy(target + i * size, node_value(arg), static_cast<size_t>(size * kFloatBytes));
  }
  ++account_.copies;
  account_.bytes += 2 * batch.count * size * kFloatBytes;
  account_.memory += seconds_since(begin);
}

// Node::data of all nodes of a batch.
const int32_t* Executor::collect_data(const Batch& batch) {
  data_.resize(static_cast<size_t>(batch.count));
  for (int32_t i = 0; i < batch.count; ++i) {
    data_[static_cast<size_t>(i)] = graph_->node(nodes(batch)[i]).data;
  }
  return data_.data();
}

void Executor::run(const Batch& batch) {
  switch (batch.op) {
    case Op::kInput:
    case Op::kParameter:
    case Op::kLookup:
      return run_leaf(batch);
    case Op::kAffine:
      return run_affine(batch);
    case Op::kSum:
      return run_sum(batch);
    case Op::kConcat:
      return run_concat(batch);
    case Op::kPickRange:
      return run_pick_range(batch);
    case Op::kMatVec:
      return run_matvec(batch);
    case Op::kPickNegLogSoftmax:
      return run_loss(batch);
    default:
      return run_elementwise(batch);
  }
}

void Executor::run_leaf(const Batch& batch) {
  float* y = values_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  const int64_t size = first.size();
  if (batch.op == Op::kLookup) {
    const Parameter& table = graph_->parameters().at(first.weights);
    const int32_t* ids = collect_data(batch);
    return kernels_.embedding(table.value.data(), table.rows, ids, y, batch.count, size);
  }
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const Node& node = graph_->node(nodes(batch)[i]);
    const float* x = batch.op == Op::kInput ? graph_->input_values(node)
                                            : graph_->parameters().at(node.weights).value.data();
    std::copy(x, x + size, y + i * size);
  }
}

void Executor::run_affine(const Batch& batch) {
  const Node& first = graph_->node(nodes(batch)[0]);
  const Affine& affine = graph_->affine(first);
  const int64_t rows = int64_t{batch.count} * first.columns, m = first.rows;
  const float* terms[2] = {values_.data() + batch.value, nullptr};
  if (first.num_args == 2) terms[1] = temporary_.at_least(rows * m);
  for (int j = 0; j < first.num_args; ++j) {
    kernels_.linear(operand_values(batch, j), &graph_->parameters().at(affine.w[j]),
                    const_cast<float*>(terms[j]), rows);
  }
  if (first.num_args == 1 && affine.bias < 0) return;
  const float* bias = affine.bias < 0 ? nullptr : graph_->parameters().at(affine.bias).value.data();
  kernels_.add_up(terms, first.num_args, bias, const_cast<float*>(terms[0]), rows, m);
}

void Executor::run_elementwise(const Batch& batch) {
  const Node& first = graph_->node(nodes(batch)[0]);
  const float* x[2];
  for (int j = 0; j < first.num_args; ++j) x[j] = operand_values(batch, j);
  kernels_.elementwise(formula_of(batch.op), false, x, values_.data() + batch.value,
                       batch.count * first.size(), true);
}

void Executor::run_sum(const Batch& batch) {
  const Node& first = graph_->node(nodes(batch)[0]);
  float* y = values_.data() + batch.value;
  if (first.num_args <= kMostGatheredTerms) {
    const float* terms[kMostGatheredTerms];
    for (int j = 0; j < first.num_args; ++j) terms[j] = operand_values(batch, j);
    return kernels_.add_up(terms, first.num_args, nullptr, y, batch.count, first.size());
  }
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t* args = graph_->args(graph_->node(nodes(batch)[i]));
    float* row = y + i * first.size();
    std::fill_n(row, first.size(), 0.0f);
    for (int j = 0; j < first.num_args; ++j) {
      kernels_.add_row(node_value(args[j]), row, first.size());
    }
  }
}

void Executor::run_concat(const Batch& batch) {
  const Node& first = graph_->node(nodes(batch)[0]);
  float* y = values_.data() + batch.value;
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t* args = graph_->args(graph_->node(nodes(batch)[i]));
    for (int32_t column = 0; column < first.columns; ++column) {
      for (int j = 0; j < first.num_args; ++j) {
        const int64_t rows = graph_->node(args[j]).rows;
        const float* part = node_value(args[j]) + column * rows;
        std::memcpy(y, part, static_cast<size_t>(rows * kFloatBytes));
        y += rows;
      }
    }
  }
}

void Executor::run_pick_range(const Batch& batch) {
  const Node& first = graph_->node(nodes(batch)[0]);
  const int64_t size = first.size();
  float* y = values_.data() + batch.value;
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const float* x = node_value(graph_->args(graph_->node(nodes(batch)[i]))[0]) + first.data;
    std::memcpy(y + i * size, x, static_cast<size_t>(size * kFloatBytes));
  }
}

// The matrix stands column after column, so its transpose (k, m) row after row: y^T = x^T A^T.
void Executor::run_matvec(const Batch& batch) {
  const int64_t m = graph_->node(nodes(batch)[0]).rows, k = arg_size(batch, 1);
  kernels_.product_by_row(operand_values(batch, 1), operand_values(batch, 0),
                          values_.data() + batch.value, batch.count, 1, k, m, false);
}

void Executor::run_loss(const Batch& batch) {
  kernels_.cross_entropy(operand_values(batch, 0), collect_data(batch),
                         values_.data() + batch.value, batch.count, arg_size(batch, 0));
}

}  // namespace cavs::dynamic
