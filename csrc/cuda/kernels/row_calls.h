// The arguments of the kernels over rows, one struct for each kind of kernel, the same on the host
// and on the device.
#pragma once

#include "cuda/kernels/call.h"

namespace cavs::cuda {

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

// For each row and column, the rows that a table lists; or the numbers of one table a row.
struct Segments {
  Operand in, out;
  Table table;
  Rows rows;
  Tiling tiling;
};

// Groups of `length` adjacent elements, `outer` of them in a row, each taken by 2^shift threads.
struct Along {
  Operand in[3], out;
  Rows rows;
  int outer = 1, length = 1, shift = 0;
};

// Lines of `length` elements that stand `inner` apart, outer * inner of them in a row, each taken
// by 2^shift threads. Of a line `count` elements go to, or come from, another value, and `flag` is
// the kernel's own: whether backwards, descending, or by numbers of each line.
struct Lines {
  Operand in[2], out;
  Rows rows;
  int outer = 1, length = 1, inner = 1, count = 1, flag = 0, shift = 0;
};

// See PoolAttributes in program/attributes.h. `count`: elements by which a mean is divided, 0 for
// those of the image.
struct Pools {
  Operand in[3], out;
  Rows rows;
  int height = 1, width = 1, windows_y = 1, windows_x = 1, size_y = 1, size_x = 1;
  int stride_y = 1, stride_x = 1, top = 0, left = 0, count = 0;
};

// The dims of a shape, the last fastest, and how far apart their elements stand in the other one.
constexpr int kDims = 8;
struct Dimensions {
  int rank = 0;
  int sizes[kDims] = {}, steps[kDims] = {};
};

// An element of the output is the element of the input at the place that `kept` gives, or the sum
// of those that follow from it: `repeated` of them, each of `inner` adjacent ones.
struct Shapes {
  Operand in, out;
  Rows rows;
  Dimensions kept, repeated;
  int terms = 1, inner = 1, shift = 0;
  Tiling tiling;
};

// See ConvolutionAttributes in program/attributes.h. Bit t of `taps` says whether tap t is used,
// where not all are.
constexpr int kMaskedTaps = 1024;
struct Convolution {
  Operand in[2], out;
  Rows rows;
  int image[3] = {}, places[3] = {}, kernel[2] = {};
  int stride[2] = {}, padding[2] = {}, dilation[2] = {};
  int groups = 1, masked = 0, goes_on = 0;
  unsigned taps[kMaskedTaps / 32] = {};
  Tiling tiling;
};

// Random numbers for the rows of an operation, by graph and place within it: rows are graphs where
// `local` is null. Or by ids, at most kIds of them, which go on from `begun` where it is not null.
constexpr int kIds = 8;
struct Draw {
  Operand in, out;
  Operand ids[kIds];
  int num_ids = 0;
  const RandomState* state = nullptr;
  unsigned op = 0;
  const long long* graph_key = nullptr;
  const int* graph = nullptr;
  const int* local = nullptr;
  const unsigned* begun = nullptr;  // two words a row, from the first of `rows`
  unsigned* keys = nullptr;
  double scale = 1, least = 0;
  int in_fours = 0;  // whether four elements may be read and written at once
  Rows rows;
  Tiling tiling;
};

struct NoteState {
  RandomState* to = nullptr;
  RandomState state;
};

}  // namespace cavs::cuda
