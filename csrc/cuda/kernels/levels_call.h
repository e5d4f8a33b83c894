// What a kernel that runs several levels of a segment is given: laid out alike by the host and on
// the device.
#pragma once

#include "cuda/kernels/products_call.h"

namespace cavs::cuda {

// Levels `first`, first + step, .. , `count` of them. Level l has rows [vertices[l], vertices[l +
// 1]), and edges likewise.
struct Levels {
  const int* vertices = nullptr;
  const int* edges = nullptr;
  int first = 0, count = 0, step = 1;
  unsigned* gate = nullptr;  // see meet.h
};

// A product of rows with a weight, whose columns are shared out among the blocks in stripes. The
// products of a round number their stripes one after the other: `first` is the first of this one,
// `all` the number of stripes of the round. A block keeps the weight of its stripes in dynamic
// shared memory from element `kept` on, `slice` elements for each; kept < 0: it does not.
struct StripedProduct {
  Product product;
  int first = 0, all = 1, kept = -1, slice = 0;
};

// The sum of the rows of `in`, added to what `out` holds or in its place.
struct RowSum {
  Operand in, out;
};

}  // namespace cavs::cuda
