// Attention of vertices whose children stand anywhere: a vertex at a time.
#pragma once

#include "cpu/attention/operands.inl.h"

namespace cavs {
namespace {

template <class T>
CAVS_INLINE T dot(const T* a, const T* b, int64_t n) {
  Vec<T> sum = {};
  int64_t l = 0;
  for (; l + kLanes<T> <= n; l += kLanes<T>) sum += load_vector(a + l) * load_vector(b + l);
  if (l < n) sum += load_lanes(a + l, n - l, T(0)) * load_lanes(b + l, n - l, T(0));
  return sum_lanes<T>(sum);
}

template <class T>
CAVS_INLINE void add_times(T* __restrict y, T factor, const T* __restrict x, int64_t n) {
  int64_t l = 0;
  for (; l + kLanes<T> <= n; l += kLanes<T>) {
    store_vector<T>(y + l, load_vector(y + l) + factor * load_vector(x + l));
  }
  for (; l < n; ++l) y[l] += factor * x[l];
}

// The scores of the children of a vertex.
template <class T>
void scores_of(const Attention<T>& it, int64_t row, int64_t head, T* s) {
  const int64_t begin = it.child_ptr[row], n = it.count(row);
  const T* q = it.head_of(it.q, row, head, it.size);
  for (int64_t j = 0; j < n; ++j) {
    s[j] = dot(q, it.head_of(it.k, it.child[begin + j], head, it.size), it.size);
  }
  if (it.position != nullptr) {
    const T* position = it.positions_of(row, head, n);
    for (int64_t j = 0; j < n; ++j) s[j] += position[j];
  }
  for (int64_t j = 0; it.bias != nullptr && j < n; ++j) s[j] += it.bias_of(begin + j, head);
}

template <class T>
void forward_lists(const Attention<T>& it, int64_t graph, int64_t head) {
  T* s = it.scratch;
  for (int64_t i = it.parents_begin(graph); i < it.parents_end(graph); ++i) {
    const int64_t row = it.parents.list[i];
    if (!it.has_query(row)) continue;
    const int64_t begin = it.child_ptr[row], n = it.count(row);
    T* o = it.head_of(*it.result, row, head, it.values);
    fill_row(o, T(0), it.values);
    *it.log_sum(row, head) = 0;
    if (n == 0) continue;
    scores_of(it, row, head, s);
    const T largest = row_maximum(s, n), top = largest == -kInfinite<T> ? T(0) : largest;
    const T sum = exp_total(s, top, s, n);
    if (sum == 0) continue;  // no child is possible
    *it.log_sum(row, head) = top + log_scalar(sum);
    const T share = 1 / sum;
    if (it.dropout.acts()) it.dropout.drop(i - it.parents_begin(graph), head, 0, n, s);
    for (int64_t j = 0; j < n; ++j) {
      const T* v = it.head_of(it.v, it.child[begin + j], head, it.values);
      add_times(o, s[j] * share, v, it.values);
    }
  }
}

template <class T>
void backward_lists(const Attention<T>& it, int64_t graph, int64_t head) {
  T* s = it.scratch;
  const int64_t first = it.parents_begin(graph);
  for (int64_t i = first; i < it.parents_end(graph); ++i) {
    const int64_t row = it.parents.list[i], n = it.count(row);
    if (n == 0) continue;
    const int64_t begin = it.child_ptr[row];
    const T* q = it.head_of(it.q, row, head, it.size);
    const T* d_out = it.head_of(*it.d_out, row, head, it.values);
    const T mean = dot(d_out, it.head_of(*it.result, row, head, it.values), it.values);
    scores_of(it, row, head, s);
    exp_total(s, *it.log_sum(row, head), s, n);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t from = it.child[begin + j];
      const bool dropped = it.dropout.drops(i - first, head, j);
      const T weight = dropped ? T(0) : s[j];
      const T by_weight =
          dropped ? T(0) : dot(d_out, it.head_of(it.v, from, head, it.values), it.values);
      const T d = s[j] * (by_weight - mean);
      if (it.d_query != nullptr) {
        add_times(it.head_of(*it.d_query, row, head, it.size), d,
                  it.head_of(it.k, from, head, it.size), it.size);
        if (it.position != nullptr) {
          it.d_positions_of(row, head)[it.told.positions - n + j] = d;
        }
      }
      if (it.d_bias != nullptr) it.add_d_bias(begin + j, head, d);
      if (it.d_children == nullptr) continue;
      add_times(it.head_of(*it.d_children, from, head, it.size), d, q, it.size);
      add_times(it.d_values_of(from, head), weight, d_out, it.values);
    }
  }
}

}  // namespace
}  // namespace cavs
