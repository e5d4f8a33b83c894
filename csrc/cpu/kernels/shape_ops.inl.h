// "broadcast" and its adjoint "sum_to" on the feature shape of each row, and other orders of axes.
#pragma once

#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// A walk over a shape (the larger one) with the strides of a smaller shape, 0 where it repeats.
struct Walk {
  int64_t rank = 0;
  int64_t dims[kMaxRank];
  int64_t strides[kMaxRank];  // of the smaller shape
  int64_t inner = 1;          // the last dimension
  int64_t inner_stride = 0;
  int64_t outer = 1;  // product of the other dimensions
};

CAVS_INLINE Walk make_walk(const Dims& of_small, const Dims& of_large) {
  const int64_t rank = of_small.rank;
  const int64_t *small = of_small.sizes, *large = of_large.sizes;
  Walk walk;
  int64_t stride = 1;
  int64_t strides[kMaxRank + 1] = {};
  for (int64_t d = rank - 1; d >= 0; --d) {
    strides[d] = small[d] == 1 ? 0 : stride;
    stride *= small[d];
  }
  if (rank == 0) return walk;
  walk.rank = rank - 1;
  for (int64_t d = 0; d < rank - 1; ++d) {
    walk.dims[d] = large[d];
    walk.strides[d] = strides[d];
    walk.outer *= large[d];
  }
  walk.inner = large[rank - 1];
  walk.inner_stride = strides[rank - 1];
  return walk;
}

// A walk over a shape whose elements stand `steps` apart in the operand.
CAVS_INLINE Walk walk_by_steps(const Dims& sizes, const Dims& steps) {
  Walk walk;
  if (sizes.rank == 0) return walk;
  walk.rank = sizes.rank - 1;
  for (int64_t d = 0; d < walk.rank; ++d) {
    walk.dims[d] = sizes.sizes[d];
    walk.strides[d] = steps.sizes[d];
    walk.outer *= sizes.sizes[d];
  }
  walk.inner = sizes.sizes[walk.rank];
  walk.inner_stride = steps.sizes[walk.rank];
  return walk;
}

// Calls body(offset in the larger, offset in the smaller) for each run of the last dimension.
template <class Body>
CAVS_INLINE void walk_runs(const Walk& walk, Body body) {
  int64_t position[kMaxRank] = {};
  int64_t offset = 0;
  for (int64_t i = 0; i < walk.outer; ++i) {
    body(i * walk.inner, offset);
    for (int64_t d = walk.rank - 1; d >= 0; --d) {
      offset += walk.strides[d];
      if (++position[d] < walk.dims[d]) break;
      offset -= walk.strides[d] * walk.dims[d];
      position[d] = 0;
    }
  }
}

template <class T>
void broadcast(const KernelCall& call) {
  const auto& shapes = attributes_of<ShapeAttributes>(call);
  const Walk walk = make_walk(shapes.source, shapes.target);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    walk_runs(walk, [&](int64_t large, int64_t small) {
      if (walk.inner_stride == 0) {
        fill_row(y + large, x[small], walk.inner);
      } else {
        copy_row(y + large, x + small, walk.inner);
      }
    });
  }
}

template <class T>
void permute(const KernelCall& call) {
  const auto& it = attributes_of<PermuteAttributes>(call);
  const Walk walk = walk_by_steps(it.sizes, it.steps);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    walk_runs(walk, [&](int64_t to, int64_t from) {
      if (walk.inner_stride == 1) {
        copy_row(y + to, x + from, walk.inner);
      } else {
        for (int64_t i = 0; i < walk.inner; ++i) y[to + i] = x[from + i * walk.inner_stride];
      }
    });
  }
}

template <class T>
void sum_to(const KernelCall& call) {
  const auto& shapes = attributes_of<ShapeAttributes>(call);
  const Walk walk = make_walk(shapes.target, shapes.source);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    fill_row(y, T(0), call.out[0].size);
    walk_runs(walk, [&](int64_t large, int64_t small) {
      if (walk.inner_stride == 0) {
        y[small] += row_total(x + large, walk.inner);
      } else {
        add_row(y + small, x + large, walk.inner);
      }
    });
  }
}

}  // namespace
}  // namespace cavs
