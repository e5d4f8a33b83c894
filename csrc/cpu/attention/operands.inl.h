// The operands of attention, and where vertices and their children stand in them.
#pragma once

#include <cstddef>

#include "cpu/attention/dropout.inl.h"
#include "cpu/kernels/double_math.inl.h"
#include "cpu/kernels/log_space.inl.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// s = q . k + position + bias of the children of a vertex, o = sum of D(softmax(s)) v, where D
// drops weights. A row of results has the heads' o, then their log sum exp s.
template <class T>
struct Attention {
  // `graphs`: whether there are the tables of GraphTable.
  Attention(const KernelCall& call, int first, bool graphs = true)
      : told(attributes_of<AttentionAttributes>(call)),
        heads(told.heads),
        size(told.size),
        values(told.values),
        q(call.in[first]),
        k(call.in[first + 1]),
        v(call.in[first + 2]),
        position(told.positions > 0 ? call.in + first + 3 : nullptr),
        bias(told.biases > 0 ? call.in + call.num_in - 1 : nullptr),
        child_ptr(call.tables[first + 1].ptr),
        child(call.tables[first + 1].list),
        dropout(call, told, child_ptr, call.tables + call.num_in),
        scratch(reinterpret_cast<T*>(static_cast<std::byte*>(call.scratch) + dropout.bytes())) {
    if (graphs) {
      const IndexTable* tables = call.tables + call.num_in;
      parents = tables[kParentTable];
      children = tables[kChildTable];
      all = tables[kAllTable];
    }
    const Operand* out = call.out;
    if (first == 0) {
      result = out;
      return;
    }
    d_out = call.in;
    result = call.in + 1;
    if (told.query) d_query = out++;
    if (told.children) d_children = out++;
    if (told.bias) d_bias = out++;
  }

  bool is_run(int64_t graph) const { return children.part[graph] != 0; }
  int64_t parents_begin(int64_t graph) const { return parents.ptr[graph]; }
  int64_t parents_end(int64_t graph) const { return parents.ptr[graph + 1]; }
  int64_t count(int64_t row) const { return child_ptr[row + 1] - child_ptr[row]; }
  // Whether the vertex has a query: where leaves are apart, a vertex with children.
  bool has_query(int64_t row) const { return all.index[2] == 0 || count(row) > 0; }

  T* head_of(const Operand& rows, int64_t row, int64_t head, int64_t width) const {
    return row_of<T>(rows, row) + head * width;
  }
  T* log_sum(int64_t row, int64_t head) const {
    return row_of<T>(*result, row) + heads * values + head;
  }
  // The column of position scores of the first of `n` children; may lie before the row.
  const T* positions_of(int64_t row, int64_t head, int64_t n) const {
    return head_of(*position, row, head, told.positions) + told.positions - n;
  }
  T* d_positions_of(int64_t row, int64_t head) const {
    return row_of<T>(*d_query, row) + heads * size + head * told.positions;
  }
  T bias_of(int64_t edge, int64_t head) const {
    return row_of<T>(*bias, edge)[told.biases == 1 ? 0 : head];
  }
  void add_d_bias(int64_t edge, int64_t head, T value) const {
    T& sum = row_of<T>(*d_bias, edge)[told.biases == 1 ? 0 : head];
    sum = told.biases == 1 && head > 0 ? sum + value : value;
  }

  // Zeros in a head of the gradients of a graph: of queries without children, and of all keys.
  void clear(int64_t graph, int64_t head) const {
    for (int64_t i = parents_begin(graph); d_query != nullptr && i < parents_end(graph); ++i) {
      const int64_t row = parents.list[i];
      if (!has_query(row)) continue;
      fill_row(head_of(*d_query, row, head, size), T(0), size);
      if (position != nullptr) fill_row(d_positions_of(row, head), T(0), told.positions);
    }
    for (int64_t i = all.ptr[graph]; d_children != nullptr && i < all.ptr[graph + 1]; ++i) {
      const int64_t row = all.list[i];
      if (row < all.index[0] || row >= all.index[1]) continue;
      fill_row(head_of(*d_children, row, head, size), T(0), size);
      fill_row(d_values_of(row, head), T(0), values);
    }
  }
  T* d_values_of(int64_t row, int64_t head) const {
    return row_of<T>(*d_children, row) + heads * size + head * values;
  }

  const AttentionAttributes& told;
  const int64_t heads, size, values;
  const Operand &q, &k, &v;
  const Operand* const position;
  const Operand* const bias;
  const int32_t *child_ptr, *child;
  Dropout dropout;
  T* const scratch;
  const Operand *result = nullptr, *d_out = nullptr;
  const Operand *d_query = nullptr, *d_children = nullptr, *d_bias = nullptr;
  IndexTable parents, children, all;
};

}  // namespace
}  // namespace cavs
