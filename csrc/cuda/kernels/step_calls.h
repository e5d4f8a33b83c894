// The arguments of the kernels of a training step's arithmetic, the same on the host and on the
// device; T is the module's Real.
#pragma once

#include "cuda/kernels/row_calls.h"

namespace cavs::cuda {

// Arrays that one launch works on, each cut into tiles of `tile` elements: those of item i are
// [ends[i - 1], ends[i]). An Item has a number of elements, `n`.
constexpr int kMostItems = 72;  // so that a list fits into a kernel's arguments
template <class Item>
struct TileList {
  Item items[kMostItems] = {};
  int ends[kMostItems] = {};
  int count = 0, tile = 0;
};

template <class T>
struct ArrayItem {
  T* data = nullptr;
  long long n = 0;
};

// A parameter, its gradient and what the optimiser keeps for it; see DenseUpdate in
// runtime/step_arithmetic.h. Null for what the settings have no use for; RMSprop's are the mean of
// squares, the momentum and the mean.
template <class T>
struct UpdateItem {
  T* param = nullptr;
  const T* grad = nullptr;
  T* first = nullptr;
  T* second = nullptr;
  T* third = nullptr;
  long long n = 0;
};

// Nothing happens where *go_on is 0; null goes on.
template <class T, class Rates>
struct UpdateCall {
  TileList<UpdateItem<T>> list;
  Rates rates;
  const int* go_on = nullptr;
};

// Row i of the gradient, tiling.columns wide, is that of parameter row ids[i]; -1 is passed over.
template <class T, class Rates>
struct UpdateRowsCall {
  UpdateItem<T> update;
  const int* ids = nullptr;
  Rows rows;
  Tiling tiling;
  Rates rates;
  const int* go_on = nullptr;
};

// What a step leaves on the device.
struct StepState {
  double loss = 0;    // the sum times the scale, rounded to the dtype
  double sum = 0;     // the last sum over arrays
  double norm = 0;    // of all gradients before clipping
  double factor = 1;  // that clips them
  int finite = 1;     // whether the loss and the norm are; no update happens else
};

// What sums of a step need of device memory; `arrived` is 0 between launches.
constexpr int kMostParts = 1024;
struct StepMemory {
  StepState state;
  unsigned arrived = 0;
  double parts[kMostParts] = {};
};

enum class Total : int { kNothing, kLoss, kNorm };  // what becomes of a sum

template <class T>
struct SumCall {
  TileList<ArrayItem<const T>> list;  // at most kMostParts tiles
  int squares = 0;                    // whether squares are summed
  int goes_on = 0;                    // whether from the sum of the launch before
  Total total = Total::kNothing;
  double number = 0;  // the scale of the loss, or the norm to clip to (0: no clipping)
  StepMemory* memory = nullptr;
};

// Each element is multiplied by *device_factor, or by `factor` where that is null.
template <class T>
struct ScaleCall {
  TileList<ArrayItem<T>> list;
  double factor = 1;
  const double* device_factor = nullptr;
  const int* go_on = nullptr;
};

// out[i] becomes the bits of the greatest magnitude of item i. It is zero before.
template <class T>
struct GreatestCall {
  TileList<ArrayItem<const T>> list;
  T* out = nullptr;
};

// The same of rows of up to three arrays.
template <class T>
struct GreatestRowsCall {
  const T* arrays[3] = {};
  const int* ids = nullptr;
  Rows rows;
  Tiling tiling;
  T* out = nullptr;
};

// Two matrices of which some rows are given, by ascending ids, and their sum in the same form.
// `before[i]` is the number of ids before a_ids[i] that both have. Rows of the sum behind the last
// are zeros of id -1.
template <class T>
struct MergeCall {
  const int* a_ids = nullptr;
  const int* b_ids = nullptr;
  const T* a = nullptr;
  const T* b = nullptr;
  int a_count = 0, b_count = 0;
  int* before = nullptr;  // [a_count + 1]
  int* ids = nullptr;     // [a_count + b_count]
  T* sum = nullptr;
  Rows rows;  // of a, then of b
  Tiling tiling;
};

// whole[ids[r]] += part[r], rows of tiling.columns elements.
template <class T>
struct AddRowsCall {
  const int* ids = nullptr;
  const T* part = nullptr;
  T* whole = nullptr;
  Rows rows;
  Tiling tiling;
};

}  // namespace cavs::cuda
