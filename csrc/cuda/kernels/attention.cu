// Attention over children: a thread takes one head of a vertex, and its children in their order.
#include "cuda/kernels/attention_call.h"
#include "cuda/kernels/log_space.h"
#include "cuda/kernels/philox.h"
#include "cuda/kernels/tiles.h"

namespace cavs::cuda {
namespace {

// Calls body(row, part) for each of `parts` parts of each row.
template <class Body>
__device__ __forceinline__ void for_each_part(const AttentionCall& it, int parts, Body body) {
  const long long count = static_cast<long long>(it.rows.end - it.rows.begin) * parts;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    body(it.rows.begin + static_cast<int>(i / parts), static_cast<int>(i % parts));
  }
}

__device__ __forceinline__ Real* head_of(const Operand& rows, int row, int head, int width) {
  return row_of<Real>(rows, row) + static_cast<long long>(head) * width;
}

__device__ __forceinline__ Real dot(const Real* a, const Real* b, int n) {
  Real sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

__device__ __forceinline__ void add_times(Real* y, Real factor, const Real* x, int n) {
  for (int i = 0; i < n; ++i) y[i] += factor * x[i];
}

__device__ __forceinline__ void clear(Real* y, int n) {
  for (int i = 0; i < n; ++i) y[i] = 0;
}

// The column of position scores of the child of an edge.
__device__ __forceinline__ int place_of(const AttentionCall& it, int row, int edge) {
  return it.positions - (it.child_ptr[row + 1] - edge);
}

__device__ __forceinline__ Real score_of(const AttentionCall& it, int row, int head, int edge) {
  const int child = it.child[edge];
  Real score = dot(head_of(it.q, row, head, it.size), head_of(it.k, child, head, it.size), it.size);
  if (it.positions > 0) {
    score += head_of(it.position, row, head, it.positions)[place_of(it, row, edge)];
  }
  if (it.biases > 0) score += row_of<Real>(it.bias, edge)[it.biases == 1 ? 0 : head];
  return score;
}

// Whether dropout zeroes the weight of an edge.
__device__ __forceinline__ bool is_dropped(const AttentionCall& it, int row, int head, int edge) {
  const WeightDropout& by = it.dropout;
  if (by.zeroed == 0) return false;
  const auto graph = static_cast<unsigned long long>(by.graph_key[by.graph[row]]);
  const SampleKey key = sample_key(by.state->seed, by.state->step, by.op, graph,
                                   static_cast<unsigned>(by.local[edge]));
  const Block block = philox4x32(key, static_cast<unsigned>(head / 4));
  return static_cast<int>(block.words[head % 4] >> 8) < by.zeroed;
}

// What the gradient needs of an edge: its weight after dropout, and the gradient by its score.
struct OfEdge {
  Real weight, slope;
};

__device__ __forceinline__ OfEdge gradient_of(const AttentionCall& it, int row, int head,
                                              int edge) {
  const Real* d_out = head_of(it.d_out, row, head, it.values);
  const Real mean = dot(d_out, head_of(it.result, row, head, it.values), it.values);
  const Real log_sum = head_of(it.result, row, it.heads, it.values)[head];
  const Real weight = exp_(score_of(it, row, head, edge) - log_sum);
  const Real* v = head_of(it.v, it.child[edge], head, it.values);
  if (is_dropped(it, row, head, edge)) return {0, -weight * mean};
  return {weight, weight * (dot(d_out, v, it.values) - mean)};
}

}  // namespace
}  // namespace cavs::cuda

using namespace cavs;
using namespace cavs::cuda;

extern "C" __global__ void __launch_bounds__(256)
    attention(const __grid_constant__ AttentionCall it) {
  for_each_part(it, it.heads, [&](int row, int head) {
    Real* out = head_of(it.result, row, head, it.values);
    clear(out, it.values);
    Real top = 0, sum = 0;
    bool any = false;
    for (int edge = it.child_ptr[row]; edge < it.child_ptr[row + 1]; ++edge) {
      const Real score = score_of(it, row, head, edge);
      if (score == -infinite()) continue;
      if (!any || score > top) {  // what was added so far is less by the difference
        const Real factor = any ? exp_(top - score) : Real(0);
        for (int i = 0; i < it.values; ++i) out[i] *= factor;
        sum *= factor;
        top = score;
        any = true;
      }
      const Real weight = exp_(score - top);
      sum += weight;
      if (is_dropped(it, row, head, edge)) continue;
      add_times(out, weight, head_of(it.v, it.child[edge], head, it.values), it.values);
    }
    for (int i = 0; any && i < it.values; ++i) out[i] /= sum;
    head_of(it.result, row, it.heads, it.values)[head] = any ? top + log_(sum) : Real(0);
  });
}

extern "C" __global__ void __launch_bounds__(256)
    attention_by_query(const __grid_constant__ AttentionCall it) {
  for_each_part(it, it.heads, [&](int row, int head) {
    Real* d_query = head_of(it.d_query, row, head, it.size);
    Real* d_places =
        head_of(it.d_query, row, it.heads, it.size) + static_cast<long long>(head) * it.positions;
    clear(d_query, it.size);
    clear(d_places, it.positions);
    for (int edge = it.child_ptr[row]; edge < it.child_ptr[row + 1]; ++edge) {
      const OfEdge of = gradient_of(it, row, head, edge);
      add_times(d_query, of.slope, head_of(it.k, it.child[edge], head, it.size), it.size);
      if (it.positions > 0) d_places[place_of(it, row, edge)] = of.slope;
    }
  });
}

extern "C" __global__ void __launch_bounds__(256)
    attention_by_children(const __grid_constant__ AttentionCall it) {
  for_each_part(it, it.heads, [&](int row, int head) {
    Real* d_key = head_of(it.d_children, row, head, it.size);
    Real* d_value =
        head_of(it.d_children, row, it.heads, it.size) + static_cast<long long>(head) * it.values;
    clear(d_key, it.size);
    clear(d_value, it.values);
    for (int i = it.out_ptr[row]; i < it.out_ptr[row + 1]; ++i) {
      const int edge = it.out_edge[i], parent = it.parent[edge];
      const OfEdge of = gradient_of(it, parent, head, edge);
      add_times(d_key, of.slope, head_of(it.q, parent, head, it.size), it.size);
      add_times(d_value, of.weight, head_of(it.d_out, parent, head, it.values), it.values);
    }
  });
}

extern "C" __global__ void __launch_bounds__(256)
    attention_by_bias(const __grid_constant__ AttentionCall it) {
  for_each_part(it, it.biases, [&](int row, int part) {
    const int heads = it.heads / it.biases;
    for (int edge = it.child_ptr[row]; edge < it.child_ptr[row + 1]; ++edge) {
      Real sum = 0;
      for (int head = part * heads; head < (part + 1) * heads; ++head) {
        sum += gradient_of(it, row, head, edge).slope;
      }
      row_of<Real>(it.d_bias, edge)[part] = sum;
    }
  });
}
