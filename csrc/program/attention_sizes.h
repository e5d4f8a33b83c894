// What the kernels of attention over children are told.
#pragma once

#include "program/attributes.h"

namespace cavs {

// By the order of the sizes in their attributes: those of `source`, then those of `target`.
struct AttentionSizes {
  int64_t heads;
  int64_t size, values;        // of a head: of queries and keys, and of values
  int64_t positions;           // columns of position scores of a head; 0 without
  int64_t biases;              // numbers of an edge: 0, one for all heads, or one for each
  int64_t zeroed;              // dropout: of 2^24 numbers those below zero a weight; 0 without
  uint32_t key;                // of the operation that draws them
  bool query, children, bias;  // which gradients are wanted

  // Never out of line: objects of instruction sets offer nothing inline to others.
  __attribute__((always_inline)) explicit AttentionSizes(const ShapeAttributes& given)
      : heads(given.source.sizes[0]),
        size(given.source.sizes[1]),
        values(given.source.sizes[2]),
        positions(given.source.sizes[3]),
        biases(given.source.sizes[4]),
        zeroed(given.source.sizes[5]),
        key(static_cast<uint32_t>(given.source.sizes[6])),
        query(given.target.sizes[0] != 0),
        children(given.target.sizes[1] != 0),
        bias(given.target.sizes[2] != 0) {}
};

}  // namespace cavs
