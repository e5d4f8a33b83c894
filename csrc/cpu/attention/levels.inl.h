// Attention row by row, as levels run: a vertex reads the rows of its children and, in backward, a
// child those of its parents. Sums go over lists in their order, so bits depend on nothing else.
#pragma once

#include "cpu/attention/lists.inl.h"
#include "program/attention_tables.h"

namespace cavs {
namespace {

constexpr int64_t kScores = 256;  // that are taken together

template <class T>
struct LevelAttention : Attention<T> {
  LevelAttention(const KernelCall& call, int first) : Attention<T>(call, first) {
    const IndexTable* tables = call.tables + call.num_in;
    this->child_ptr = tables[kEdgeChildren].ptr;
    this->child = tables[kEdgeChildren].list;
    if (!this->told.children) return;
    out_ptr = tables[kOutEdges].ptr;
    out_edge = tables[kOutEdges].list;
    parent = tables[kEdgeParents].index;
  }

  T score_of(int64_t row, int64_t edge, int64_t from, int64_t head) const {
    T score = dot(this->head_of(this->q, row, head, this->size),
                  this->head_of(this->k, from, head, this->size), this->size);
    if (this->position != nullptr) {
      score += this->positions_of(row, head, this->child_ptr[row + 1] - edge)[0];
    }
    return this->bias == nullptr ? score : score + this->bias_of(edge, head);
  }
  // How the loss changes with all weights of a vertex at once.
  T mean_of(int64_t row, int64_t head) const {
    return dot(this->head_of(*this->d_out, row, head, this->values),
               this->head_of(*this->result, row, head, this->values), this->values);
  }

  const int32_t *out_ptr = nullptr, *out_edge = nullptr, *parent = nullptr;
};

// Largest scores may come late: what was added up before is then made smaller.
template <class T>
void forward_level(const LevelAttention<T>& it, int64_t row, int64_t head) {
  T* s = it.scratch;
  T* o = it.head_of(*it.result, row, head, it.values);
  T top = -kInfinite<T>, total = 0;
  fill_row(o, T(0), it.values);
  const int64_t end = it.child_ptr[row + 1];
  for (int64_t edge = it.child_ptr[row]; edge < end; edge += kScores) {
    const int64_t n = least(kScores, end - edge);
    for (int64_t j = 0; j < n; ++j) s[j] = it.score_of(row, edge + j, it.child[edge + j], head);
    const T largest = row_maximum(s, n);
    if (largest == -kInfinite<T>) continue;  // none of these children is possible
    if (!(largest <= top)) {
      const T factor = total == 0 ? T(0) : exp_scalar(top - largest);
      multiply_row(o, factor, it.values);
      total *= factor;
      top = largest;
    }
    total += exp_total(s, top, s, n);
    for (int64_t j = 0; j < n; ++j) {
      add_times(o, s[j], it.head_of(it.v, it.child[edge + j], head, it.values), it.values);
    }
  }
  const bool none = total == 0;
  multiply_row(o, none ? T(0) : 1 / total, it.values);
  *it.log_sum(row, head) = none ? T(0) : top + log_scalar(total);
}

// The gradient of a vertex's query and positions, and of the biases of its edges.
template <class T>
void query_level(const LevelAttention<T>& it, int64_t row, int64_t head) {
  T* s = it.scratch;
  if (it.d_query != nullptr) {
    fill_row(it.head_of(*it.d_query, row, head, it.size), T(0), it.size);
    if (it.position != nullptr) fill_row(it.d_positions_of(row, head), T(0), it.told.positions);
  }
  const int64_t end = it.child_ptr[row + 1];
  if (it.child_ptr[row] == end) return;
  const T* d_out = it.head_of(*it.d_out, row, head, it.values);
  const T mean = it.mean_of(row, head), log_sum = *it.log_sum(row, head);
  for (int64_t edge = it.child_ptr[row]; edge < end; edge += kScores) {
    const int64_t n = least(kScores, end - edge);
    for (int64_t j = 0; j < n; ++j) s[j] = it.score_of(row, edge + j, it.child[edge + j], head);
    exp_total(s, log_sum, s, n);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t from = it.child[edge + j];
      const T d = s[j] * (dot(d_out, it.head_of(it.v, from, head, it.values), it.values) - mean);
      if (it.d_bias != nullptr) it.add_d_bias(edge + j, head, d);
      if (it.d_query == nullptr) continue;
      add_times(it.head_of(*it.d_query, row, head, it.size), d,
                it.head_of(it.k, from, head, it.size), it.size);
      if (it.position == nullptr) continue;
      it.d_positions_of(row, head)[it.told.positions - (end - edge - j)] = d;
    }
  }
}

// The gradient of a child's key and value, from all vertices whose child it is.
template <class T>
void children_level(const LevelAttention<T>& it, int64_t row, int64_t head) {
  T* s = it.scratch;
  T* d_key = it.head_of(*it.d_children, row, head, it.size);
  T* d_value = it.d_values_of(row, head);
  fill_row(d_key, T(0), it.size);
  fill_row(d_value, T(0), it.values);
  const T* v = it.head_of(it.v, row, head, it.values);
  const int32_t end = it.out_ptr[row + 1];
  for (int64_t i = it.out_ptr[row]; i < end; i += kScores) {
    const int64_t n = least(kScores, end - i);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t edge = it.out_edge[i + j], parent = it.parent[edge];
      s[j] = it.score_of(parent, edge, row, head) - *it.log_sum(parent, head);
    }
    exp_total(s, T(0), s, n);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t parent = it.parent[it.out_edge[i + j]];
      const T* d_out = it.head_of(*it.d_out, parent, head, it.values);
      const T d = s[j] * (dot(d_out, v, it.values) - it.mean_of(parent, head));
      add_times(d_key, d, it.head_of(it.q, parent, head, it.size), it.size);
      add_times(d_value, s[j], d_out, it.values);
    }
  }
}

template <class T, class Work>
void for_each_row(const KernelCall& call, int first, const Work& work) {
  const LevelAttention<T> it(call, first);
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    for (int64_t head = 0; head < it.heads; ++head) work(it, row, head);
  }
}

template <class T>
void level_attention(const KernelCall& call) {
  for_each_row<T>(call, 0, forward_level<T>);
}
template <class T>
void level_attention_grad(const KernelCall& call) {
  for_each_row<T>(call, 2, query_level<T>);
}
template <class T>
void level_attention_children(const KernelCall& call) {
  for_each_row<T>(call, 2, children_level<T>);
}

}  // namespace
}  // namespace cavs
