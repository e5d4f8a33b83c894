// Attention row by row, as levels run: a vertex reads the rows of its children and, in backward, a
// child those of its parents. Lists are short, so all heads of an edge are taken together. Sums go
// over lists in their order, so bits depend on nothing else.
#pragma once

#include "cpu/attention/lists.inl.h"
#include "program/attention_tables.h"

namespace cavs {
namespace {

constexpr int64_t kScores = 1024;  // of edges and heads, that are taken together
constexpr int64_t kHeads = 64;

template <class T>
struct LevelAttention : Attention<T> {
  LevelAttention(const KernelCall& call, int first) : Attention<T>(call, first, false) {
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

  // How the loss changes with the weight of a child, per weight: do . (v - o).
  T slope_of(int64_t row, int64_t from, int64_t head) const {
    const T* d = this->head_of(*this->d_out, row, head, this->values);
    const T* v = this->head_of(this->v, from, head, this->values);
    const T* o = this->head_of(*this->result, row, head, this->values);
    Vec<T> sum = {};
    int64_t l = 0;
    for (; l + kLanes<T> <= this->values; l += kLanes<T>) {
      sum += load_vector(d + l) * (load_vector(v + l) - load_vector(o + l));
    }
    if (l < this->values) {
      const int64_t n = this->values - l;
      sum += load_lanes(d + l, n, T(0)) * (load_lanes(v + l, n, T(0)) - load_lanes(o + l, n, T(0)));
    }
    return sum_lanes<T>(sum);
  }

  const int32_t *out_ptr = nullptr, *out_edge = nullptr, *parent = nullptr;
};

// y (+)= the sum of factor[j * step] * x(j), j < count; `n` elements.
template <class T, class Rows>
CAVS_INLINE void add_rows(T* y, bool add, const T* factor, int64_t step, int64_t count, int64_t n,
                          const Rows& x) {
  int64_t l = 0;
  for (; l + kLanes<T> <= n; l += kLanes<T>) {
    Vec<T> sum = {};
    if (add) sum = load_vector(y + l);
    for (int64_t j = 0; j < count; ++j) sum += factor[j * step] * load_vector(x(j) + l);
    store_vector<T>(y + l, sum);
  }
  if (l == n) return;
  Vec<T> sum = {};
  if (add) sum = load_lanes(y + l, n - l, T(0));
  for (int64_t j = 0; j < count; ++j) sum += factor[j * step] * load_lanes(x(j) + l, n - l, T(0));
  store_lanes<T>(y + l, sum, n - l);
}

// Heads [first, first + count) of rows.
struct SomeHeads {
  int64_t first, count;
  int64_t edges() const { return kScores / count; }  // that are taken together
};

// Largest scores may come late: what was added up before is then made smaller.
template <class T>
void forward_level(const LevelAttention<T>& it, int64_t row, const SomeHeads& heads) {
  T* s = it.scratch;
  T top[kHeads], total[kHeads], before[kHeads];  // `before`: the largest, then logarithms
  fill_row(top, -kInfinite<T>, heads.count);
  fill_row(total, T(0), heads.count);
  const int64_t begin = it.child_ptr[row], end = it.child_ptr[row + 1], count = heads.count;
  for (int64_t edge = begin; edge < end; edge += heads.edges()) {
    const int64_t n = least(heads.edges(), end - edge);
    copy_row(before, top, count);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        const T score = it.score_of(row, edge + j, it.child[edge + j], heads.first + h);
        s[j * count + h] = score;
        if (!(score <= top[h])) top[h] = score;
      }
    }
    for (int64_t h = 0; edge > begin && h < count; ++h) {
      if (before[h] == top[h] || total[h] == 0) continue;
      const T less = exp_scalar(before[h] - top[h]);
      total[h] *= less;
      multiply_row(it.head_of(*it.result, row, heads.first + h, it.values), less, it.values);
    }
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        s[j * count + h] -= top[h] == -kInfinite<T> ? T(0) : top[h];
      }
    }
    exp_total(s, T(0), s, n * count);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) total[h] += s[j * count + h];
    }
    for (int64_t h = 0; h < count; ++h) {
      const int64_t head = heads.first + h;
      add_rows(it.head_of(*it.result, row, head, it.values), edge > begin, s + h, count, n,
               it.values,
               [&](int64_t j) { return it.head_of(it.v, it.child[edge + j], head, it.values); });
    }
  }
  for (int64_t h = 0; h < count; ++h) {
    T* o = it.head_of(*it.result, row, heads.first + h, it.values);
    multiply_row(o, total[h] == 0 ? T(0) : 1 / total[h], it.values);
    if (begin == end) fill_row(o, T(0), it.values);
  }
  for (int64_t h = 0; h < count; h += kLanes<T>) {
    const int64_t n = least(kLanes<T>, count - h);
    store_lanes<T>(before + h, log_(load_lanes(total + h, n, T(1))), n);
  }
  for (int64_t h = 0; h < count; ++h) {
    *it.log_sum(row, heads.first + h) = total[h] == 0 ? T(0) : top[h] + before[h];
  }
}

// The gradient of a vertex's query and positions, and of the biases of its edges.
template <class T>
void query_level(const LevelAttention<T>& it, int64_t row, const SomeHeads& heads) {
  T* s = it.scratch;
  const int64_t begin = it.child_ptr[row], end = it.child_ptr[row + 1], count = heads.count;
  for (int64_t h = 0; it.d_query != nullptr && h < count; ++h) {
    const int64_t head = heads.first + h;
    if (begin == end) fill_row(it.head_of(*it.d_query, row, head, it.size), T(0), it.size);
    if (it.position != nullptr) fill_row(it.d_positions_of(row, head), T(0), it.told.positions);
  }
  for (int64_t edge = begin; edge < end; edge += heads.edges()) {
    const int64_t n = least(heads.edges(), end - edge);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        const int64_t head = heads.first + h;
        s[j * count + h] =
            it.score_of(row, edge + j, it.child[edge + j], head) - *it.log_sum(row, head);
      }
    }
    exp_total(s, T(0), s, n * count);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        const int64_t head = heads.first + h;
        const T d = s[j * count + h] * it.slope_of(row, it.child[edge + j], head);
        s[j * count + h] = d;
        if (it.d_bias != nullptr) it.add_d_bias(edge + j, head, d);
        if (it.d_query == nullptr || it.position == nullptr) continue;
        it.d_positions_of(row, head)[it.told.positions - (end - edge - j)] = d;
      }
    }
    for (int64_t h = 0; it.d_query != nullptr && h < count; ++h) {
      const int64_t head = heads.first + h;
      add_rows(it.head_of(*it.d_query, row, head, it.size), edge > begin, s + h, count, n, it.size,
               [&](int64_t j) { return it.head_of(it.k, it.child[edge + j], head, it.size); });
    }
  }
}

// The gradient of a child's key and value, from all vertices whose child it is.
template <class T>
void children_level(const LevelAttention<T>& it, int64_t row, const SomeHeads& heads) {
  T *s = it.scratch, *d = s + kScores;
  const int64_t begin = it.out_ptr[row], end = it.out_ptr[row + 1], count = heads.count;
  const auto parent = [&](int64_t i) { return it.parent[it.out_edge[i]]; };
  for (int64_t i = begin; i < end || i == begin; i += heads.edges()) {  // zeros without parents
    const int64_t n = least(heads.edges(), end - i);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        const int64_t head = heads.first + h;
        s[j * count + h] = it.score_of(parent(i + j), it.out_edge[i + j], row, head) -
                           *it.log_sum(parent(i + j), head);
      }
    }
    exp_total(s, T(0), s, n * count);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t h = 0; h < count; ++h) {
        const T slope = it.slope_of(parent(i + j), row, heads.first + h);
        d[j * count + h] = s[j * count + h] * slope;
      }
    }
    for (int64_t h = 0; h < count; ++h) {
      const int64_t head = heads.first + h;
      add_rows(it.head_of(*it.d_children, row, head, it.size), i > begin, d + h, count, n, it.size,
               [&](int64_t j) { return it.head_of(it.q, parent(i + j), head, it.size); });
      add_rows(it.d_values_of(row, head), i > begin, s + h, count, n, it.values,
               [&](int64_t j) { return it.head_of(*it.d_out, parent(i + j), head, it.values); });
    }
  }
}

template <class T, class Work>
void for_each_row(const KernelCall& call, int first, const Work& work) {
  const LevelAttention<T> it(call, first);
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    for (int64_t head = 0; head < it.heads; head += kHeads) {
      work(it, row, SomeHeads{head, least(kHeads, it.heads - head)});
    }
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
