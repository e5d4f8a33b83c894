// Launches of the kernels of a training step's arithmetic, which both ways of a step share.
#pragma once

#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "base/denormals.h"
#include "cuda/driver/current_stream.h"
#include "cuda/kernels/step_calls.h"
#include "cuda/launches/row_launches.h"
#include "runtime/step_arithmetic.h"

namespace cavs::cuda {

// Where the work of a call goes. The GPU is current in the calling thread meanwhile.
template <class T>
struct StepLaunches {
  explicit StepLaunches(OpenGpu& open)
      : current(open.ordinal),
        library(library_of(open, std::is_same_v<T, double> ? DType::kFloat64 : DType::kFloat32,
                           flush_denormals())),
        stream(current_stream(open)) {}

  // Sums up all arrays in memory->state, and makes of the sum what `total` says.
  void sum(const std::vector<Elements<T>>& arrays, bool squares, Total total, double number,
           StepMemory* memory) const;
  // x *= factor, or *device_factor where that is not null.
  void scale(const std::vector<Elements<T>>& arrays, double factor, const double* device_factor,
             const int* go_on) const;
  // out[i]: the greatest magnitude of array i; clears `out` first.
  void greatest(const std::vector<Elements<T>>& arrays, T* out) const;
  void update(const OptimizerSettings& settings, const std::vector<DenseUpdate<T>>& updates,
              const int* go_on) const;
  void update_rows(OptimizerSettings settings, const DenseUpdate<T>& update, const int32_t* ids,
                   int64_t count, int64_t width, const int* go_on) const;

  // The sum of a and b has a.count + b.count rows, of which those behind the last are zeros of id
  // -1. Updates pass over them, and no sum changes by them. `before` has room for a.count + 1
  // numbers.
  void merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids, T* rows,
                  int32_t* before) const;

  const CurrentGpu current;
  Library& library;
  const Stream& stream;
};

// The same call on rows 0 .. count - 1 of `width` columns.
template <class Call>
void set_rows(Call* call, int64_t count, int64_t width) {
  call->rows = {0, static_cast<int>(count)};
  call->tiling = tiling_of(static_cast<int>(width));
}

// Calls body(list, number of its first item, whether it is the last list) with lists of all items.
template <class Item, class Body>
void in_lists(const std::vector<Item>& items, int tile, const Body& body) {
  size_t next = 0;
  do {
    const size_t first = next;
    TileList<Item> list;
    list.tile = tile;
    long long tiles = 0;
    for (; next < items.size() && list.count < kMostItems; ++next, ++list.count) {
      tiles += (items[next].n + tile - 1) / tile;
      if (tiles > 0x7fffffff)
        fail(
            "[cuda] expected arrays of fewer elements together, got 2^41 or more; use a smaller "
            "model");
      list.items[list.count] = items[next];
      list.ends[list.count] = static_cast<int>(tiles);
    }
    body(list, first, next == items.size());
  } while (next < items.size());
}

}  // namespace cavs::cuda
