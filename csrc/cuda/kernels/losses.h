// The cross entropy of labels and its gradient, a row of logits for each label.
#pragma once

#include "cuda/kernels/softmax.h"

namespace cavs::cuda {
namespace {

// A label of -1 gives 0, a label without a class NaN: nothing outside the row is read.
__device__ __forceinline__ void cross_entropy(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, 1, call.rows, [&](const Crew& crew, int r, int) {
    const Real* x = row_of<const Real>(call.in[0], r);
    const int label = *row_of<const int>(call.in[1], r);
    Real loss = label < 0 ? Real(0) : static_cast<Real>(not_a_number());
    if (label >= 0 && label < n) {
      const Real top = maximum_of(crew, x, n), wanted = x[label];
      if (!is_infinite(top)) {
        loss = log_(exp_total(crew, x, top, n)) + (top - wanted);
      } else if (wanted == infinite()) {
        loss = log_(count_infinite(crew, x, n));
      } else {
        loss = infinite();
      }
    }
    if (crew.lane == 0) *row_of<Real>(call.out, r) = loss;
  });
}

// An impossible label, whose loss is infinite, gives no gradient.
__device__ __forceinline__ void cross_entropy_grad(const Along& call) {
  const int n = call.length;
  for_each_group(call.shift, 1, call.rows, [&](const Crew& crew, int r, int) {
    const Real dloss = *row_of<const Real>(call.in[0], r);
    const Real* x = row_of<const Real>(call.in[1], r);
    const int label = *row_of<const int>(call.in[2], r);
    Real* y = row_of<Real>(call.out, r);
    if (label < 0 || label >= n) {
      fill_group(crew, y, label < 0 ? Real(0) : static_cast<Real>(not_a_number()), n);
      return;
    }
    const Real wanted = x[label];  // before any thread writes, perhaps over x
    const Real top = maximum_of(crew, x, n);
    const bool impossible = is_infinite(top) ? wanted < infinite() : wanted - top == -infinite();
    if (impossible) {
      fill_group(crew, y, 0, n);
      return;
    }
    softmax_group(crew, x, y, n, top, dloss);
    if ((label & (crew.count - 1)) == crew.lane) y[label] -= dloss;
  });
}

}  // namespace
}  // namespace cavs::cuda
