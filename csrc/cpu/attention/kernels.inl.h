// Defines the kernels of attention for one instruction set; the including file names the
// function.
#pragma once

#include "cpu/attention/levels.inl.h"
#include "cpu/attention/lists.inl.h"
#include "cpu/attention/runs.inl.h"

namespace cavs {
namespace {

// Threads take graphs and heads, and no two of them the same rows of a head. So the order of sums
// does not depend on how many they are.
template <class Work>
void for_each_head(const KernelCall& call, bool together, const Work& work) {
  const int64_t heads = attributes_of<AttentionAttributes>(call).heads;
  const int64_t each = together ? heads : 1, parts = call.row_end * heads / each;
  const int64_t begin = parts * call.thread / call.num_threads;
  const int64_t end = parts * (call.thread + 1) / call.num_threads;
  for (int64_t part = begin * each; part < end * each; ++part) work(part / heads, part % heads);
}

template <class T>
void attention(const KernelCall& call) {
  Attention<T> it(call, 0);
  for_each_head(call, false, [&](int64_t graph, int64_t head) {
    it.dropout.draw(graph, head);
    if (it.is_run(graph)) {
      forward_runs(it, graph, head);
    } else {
      forward_lists(it, graph, head);
    }
  });
}

template <class T>
void attention_grad(const KernelCall& call) {
  Attention<T> it(call, 2);
  const bool together = it.d_bias != nullptr && it.told.biases == 1;  // heads add to one number
  for_each_head(call, together, [&](int64_t graph, int64_t head) {
    it.clear(graph, head);
    it.dropout.draw(graph, head);
    if (it.is_run(graph)) {
      backward_runs(it, graph, head);
    } else {
      backward_lists(it, graph, head);
    }
  });
}

int64_t memory(const AttentionWork& work) {
  return work.dtype == DType::kFloat32 ? memory_of<float>(work) : memory_of<double>(work);
}

constexpr KernelEntry kKernels[kAttentionKernels] = {
    {"attention", attention<float>, attention<double>},
    {"attention_grad", attention_grad<float>, attention_grad<double>},
    {"level_attention", level_attention<float>, level_attention<double>},
    {"level_attention_children", level_attention_children<float>, level_attention_children<double>},
    {"level_attention_grad", level_attention_grad<float>, level_attention_grad<double>}};
constexpr AttentionIsa kIsa = {kKernels, memory};

}  // namespace

const AttentionIsa& CAVS_ATTENTION_ISA() { return kIsa; }

}  // namespace cavs
