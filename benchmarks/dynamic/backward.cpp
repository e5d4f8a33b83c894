// Backward: the batches in reverse. A gradient is written by the first that reaches it where that
// covers a whole batch, and added to by the others.
#include <algorithm>

#include "base/error.h"
#include "dynamic/executor.h"

namespace cavs::dynamic {

void Executor::backward(int32_t node) {
  CAVS_CHECK(plan_ != nullptr && node >= 0 && static_cast<size_t>(node) < plan_->offset.size() &&
                 graph_->node(node).size() == 1,
             ErrorKind::kRuntime, "[dynamic] backward: expected a computed number, got expression ",
             node, "; call forward() first, and sum up what is larger");
  const auto begin = Clock::now();
  const double memory = account_.memory;
  const int64_t launches = kernels_.launches();
  gradients_.at_least(plan_->num_values);
  returned_.at_least(plan_->largest_gathered);
  touched_.assign(plan_->batches.size(), 0);
  *touched_grad(node) = 1;
  for (int32_t b = plan_->batch_of[static_cast<size_t>(node)]; b >= 0; --b) {
    if (touched_[static_cast<size_t>(b)] == 0) continue;
    backward_batch(plan_->batches[static_cast<size_t>(b)]);
    ++account_.batches;
  }
  account_.launches += kernels_.launches() - launches;
  const double spent = std::chrono::duration<double>(Clock::now() - begin).count();
  account_.computation += spent - (account_.memory - memory);
}

void Executor::touch(int32_t batch) {
  uint8_t& touched = touched_[static_cast<size_t>(batch)];
  if (touched != 0) return;
  touched = 1;
  const Batch& found = plan_->batches[static_cast<size_t>(batch)];
  const int64_t size = graph_->node(nodes(found)[0]).size();
  std::fill_n(gradients_.data() + found.value, found.count * size, 0.0f);
}

float* Executor::touched_grad(int32_t node) {
  touch(plan_->batch_of[static_cast<size_t>(node)]);
  return node_grad(node);
}

Executor::Target Executor::open(const Batch& batch, int j) {
  const BatchOperand& found = operand(batch, j);
  if (found.gathered) return {returned_.data(), false, true};
  const Batch& producer = plan_->batches[static_cast<size_t>(found.batch)];
  uint8_t& touched = touched_[static_cast<size_t>(found.batch)];
  const bool replace = touched == 0 && batch.count == producer.count;
  if (replace) {
    touched = 1;
  } else {
    touch(found.batch);
  }
  const bool to_the_end = found.position + batch.count == producer.count;
  return {gradients_.data() + found.offset, !replace, to_the_end};
}

void Executor::close(const Batch& batch, int j) {
  if (operand(batch, j).gathered) give_back(batch, j, returned_.data());
}

// Adds a row for each node to the gradients of their arguments.
void Executor::give_back(const Batch& batch, int j, const float* rows) {
  const auto begin = Clock::now();
  const int64_t size = arg_size(batch, j);
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t arg = graph_->args(graph_->node(nodes(batch)[i]))[j];
    kernels_.add_row(rows + i * size, touched_grad(arg), size);
  }
  ++account_.copies;
  account_.bytes += 3 * batch.count * size * kFloatBytes;  // the sum is read and written
  account_.memory += std::chrono::duration<double>(Clock::now() - begin).count();
}

// The gradient of argument j by a formula.
void Executor::give(const Batch& batch, int j, Formula formula, const float* a, const float* b,
                    const float* c) {
  const Target target = open(batch, j);
  const float* x[] = {a, b, c};
  kernels_.elementwise(formula, target.accumulate, x, target.data, batch.count * arg_size(batch, j),
                       target.whole);
  close(batch, j);
}

void Executor::backward_batch(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const float* y = values_.data() + batch.value;
  switch (batch.op) {
    case Op::kInput:
    case Op::kParameter:
    case Op::kLookup:
      return backward_leaf(batch);
    case Op::kAffine:
      return backward_affine(batch);
    case Op::kTanh:
      return give(batch, 0, Formula::kTanhGrad, dy, y);
    case Op::kLogistic:
      return give(batch, 0, Formula::kLogisticGrad, dy, y);
    case Op::kExp:
      return give(batch, 0, Formula::kProductGrad, dy, y);
    case Op::kOneMinus:
      return give(batch, 0, Formula::kNegativeGrad, dy);
    case Op::kSum:
      return backward_sum(batch);
    case Op::kSubtract:
      give(batch, 0, Formula::kCopyGrad, dy);
      return give(batch, 1, Formula::kNegativeGrad, dy);
    case Op::kMultiply:
      give(batch, 0, Formula::kProductGrad, dy, operand_values(batch, 1));
      return give(batch, 1, Formula::kProductGrad, dy, operand_values(batch, 0));
    case Op::kDivide:
      give(batch, 0, Formula::kQuotientGrad, dy, operand_values(batch, 1));
      return give(batch, 1, Formula::kDivisorGrad, dy, y, operand_values(batch, 1));
    case Op::kConcat:
      return backward_concat(batch);
    case Op::kPickRange:
      return backward_pick_range(batch);
    case Op::kMatVec:
      return backward_matvec(batch);
    case Op::kPickNegLogSoftmax:
      return backward_loss(batch);
  }
}

void Executor::backward_leaf(const Batch& batch) {
  if (batch.op == Op::kInput) return;
  const float* dy = gradients_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  Parameter& parameter = graph_->parameters().at(first.weights);
  if (batch.op == Op::kParameter) {
    kernels_.sum_rows(dy, parameter.gradient.data(), batch.count, first.size(), parameter.touched);
    parameter.touched = true;
    return;
  }
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t id = graph_->node(nodes(batch)[i]).data;
    float* row = graph_->parameters().gradient_row(&parameter, id);
    kernels_.add_row(dy + i * first.size(), row, first.size());
  }
}

void Executor::backward_affine(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  const Affine& affine = graph_->affine(first);
  const int64_t rows = int64_t{batch.count} * first.columns, m = first.rows;
  for (int j = 0; j < first.num_args; ++j) {
    Parameter& w = graph_->parameters().at(affine.w[j]);
    kernels_.linear_weight_grad(dy, operand_values(batch, j), &w, rows);
    const Target target = open(batch, j);
    float* dx = target.accumulate ? temporary_.at_least(rows * w.columns) : target.data;
    kernels_.linear_input_grad(dy, &w, dx, rows);
    if (target.accumulate) kernels_.add(dx, target.data, rows * w.columns);
    close(batch, j);
  }
  if (affine.bias < 0) return;
  Parameter& bias = graph_->parameters().at(affine.bias);
  kernels_.sum_rows(dy, bias.gradient.data(), rows, m, bias.touched);
  bias.touched = true;
}

void Executor::backward_sum(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  if (first.num_args <= kMostGatheredTerms) {
    for (int j = 0; j < first.num_args; ++j) {
      if (operand(batch, j).gathered) {
        give_back(batch, j, dy);
      } else {
        give(batch, j, Formula::kCopyGrad, dy);
      }
    }
    return;
  }
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t* args = graph_->args(graph_->node(nodes(batch)[i]));
    for (int j = 0; j < first.num_args; ++j) {
      kernels_.add_row(dy + i * first.size(), touched_grad(args[j]), first.size());
    }
  }
}

void Executor::backward_concat(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t* args = graph_->args(graph_->node(nodes(batch)[i]));
    for (int32_t column = 0; column < first.columns; ++column) {
      for (int j = 0; j < first.num_args; ++j) {
        const int64_t rows = graph_->node(args[j]).rows;
        kernels_.add_row(dy, touched_grad(args[j]) + column * rows, rows);
        dy += rows;
      }
    }
  }
}

void Executor::backward_pick_range(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const Node& first = graph_->node(nodes(batch)[0]);
  const int64_t size = first.size();
  kernels_.count();
  for (int32_t i = 0; i < batch.count; ++i) {
    const int32_t arg = graph_->args(graph_->node(nodes(batch)[i]))[0];
    kernels_.add_row(dy + i * size, touched_grad(arg) + first.data, size);
  }
}

void Executor::backward_matvec(const Batch& batch) {
  const float* dy = gradients_.data() + batch.value;
  const int64_t n = batch.count;
  const int64_t m = graph_->node(nodes(batch)[0]).rows, k = arg_size(batch, 1);
  Target target = open(batch, 0);
  float* da = target.accumulate ? temporary_.at_least(n * k * m) : target.data;
  kernels_.product_by_row(operand_values(batch, 1), dy, da, n, k, 1, m, false);
  if (target.accumulate) kernels_.add(da, target.data, n * k * m);
  close(batch, 0);
  target = open(batch, 1);
  float* dx = target.accumulate ? temporary_.at_least(n * k) : target.data;
  kernels_.product_by_row(dy, operand_values(batch, 0), dx, n, 1, m, k, true);
  if (target.accumulate) kernels_.add(dx, target.data, n * k);
  close(batch, 1);
}

void Executor::backward_loss(const Batch& batch) {
  const int64_t n = batch.count, m = arg_size(batch, 0);
  const Target target = open(batch, 0);
  float* dx = target.accumulate ? temporary_.at_least(n * m) : target.data;
  kernels_.cross_entropy_grad(gradients_.data() + batch.value, operand_values(batch, 0),
                              collect_data(batch), dx, n, m);
  if (target.accumulate) kernels_.add(dx, target.data, n * m);
  close(batch, 0);
}

}  // namespace cavs::dynamic
