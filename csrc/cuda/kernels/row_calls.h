// The arguments of the kernels over rows, one struct for each kind of kernel, the same on the host
// and on the device.
#pragma once

#include "cuda/kernels/call.h"

namespace cavs {
namespace cuda {

constexpr int kThreads = 256;  // of a block

// How the threads of a block share the elements of rows: 2^shift of them stand along a row, and
// `across` blocks, one beside the other, reach over its `columns`.
struct Tiling {
  int shift = 0, columns = 1, across = 1;
};

// out[to[r]] = in[from[r * from_step]]; without a table, row r. A row of -1 is read as zeros, and
// not written; rows of `count` and above are read as `beyond`, two words over and over. `lines`
// lines of `width` elements move, a step apart: mostly one.
struct Move {
  Operand in, out;
  const int* from = nullptr;
  const int* to = nullptr;
  int from_step = 1, count = 0x7fffffff;
  unsigned beyond[2] = {};
  int width = 1, in_step = 0, out_step = 0;
  Rows rows;
  Tiling tiling;
};

// out[e] = in[slot[e] - first][index[e]] of the edges whose slot is among the `count` from `first`;
// zeros for a row of -1, and, where `rest` is set, for the slots above.
constexpr int kSlots = 8;
struct Slots {
  Operand in[kSlots], out;
  const int* index = nullptr;
  const int* slot = nullptr;
  int first = 0, count = 0, rest = 0;
  Rows rows;
  Tiling tiling;
};

}  // namespace cuda
}  // namespace cavs
