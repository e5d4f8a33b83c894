// The attributes of kernels, one type for each set of attributes. The member `fields` calls
// visit(name, field) for each attribute that a written program names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cavs {

struct NoAttributes {
  template <class Self, class Visit>
  static void fields(Self&, Visit&&) {}
};

// C = op(A) op(B), op(A) being (m, k) and op(B) (k, n).
struct MatmulAttributes {
  bool ta = false, tb = false;  // whether A, B stand transposed
  int64_t m = 1, k = 1, n = 1;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("ta", self.ta);
    visit("tb", self.tb);
    visit("m", self.m);
    visit("k", self.k);
    visit("n", self.n);
  }
};

// For products that leave out rows.
struct MaskedMatmulAttributes : MatmulAttributes {
  bool by_id = false;  // whether the mask holds ids (-1 leaves a row out) or numbers (0 does)

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    MatmulAttributes::fields(self, visit);
    visit("by_id", self.by_id);
  }
};

// Rows of `outer` * `length` * `inner` elements. Each `length` elements, which stand `inner` apart,
// are taken together.
struct AxisAttributes {
  int64_t outer = 1, length = 1, inner = 1;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("outer", self.outer);
    visit("length", self.length);
    visit("inner", self.inner);
  }
};

// Running sums of lines of a row, from the end of a line where `reverse`.
struct ScanAttributes : AxisAttributes {
  bool reverse = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    AxisAttributes::fields(self, visit);
    visit("reverse", self.reverse);
  }
};

// The first `count` elements of each line in ascending or descending order.
struct OrderAttributes : AxisAttributes {
  int64_t count = 1;
  bool descending = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    AxisAttributes::fields(self, visit);
    visit("count", self.count);
    visit("descending", self.descending);
  }
};

// Elements of lines by their numbers: `count` of each line. The same numbers serve all lines of a
// row, or, where `along`, each line has numbers of its own.
struct PickAttributes : AxisAttributes {
  int64_t count = 1;
  bool along = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    AxisAttributes::fields(self, visit);
    visit("count", self.count);
    visit("along", self.along);
  }
};

// `outer` images of `height` * `width` elements, and the windows of size_y * size_x elements into
// which they are cut: windows_y * windows_x of an image, the first one beginning `top` and `left`
// before it, each further one a stride on. What lies outside of the image is no element, but counts
// for a mean where `padded`.
struct PoolAttributes {
  int64_t outer = 1, height = 1, width = 1, windows_y = 1, windows_x = 1;
  int64_t size_y = 1, size_x = 1, stride_y = 1, stride_x = 1, top = 0, left = 0;
  bool padded = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("outer", self.outer);
    visit("height", self.height);
    visit("width", self.width);
    visit("windows_y", self.windows_y);
    visit("windows_x", self.windows_x);
    visit("size_y", self.size_y);
    visit("size_x", self.size_x);
    visit("stride_y", self.stride_y);
    visit("stride_x", self.stride_x);
    visit("top", self.top);
    visit("left", self.left);
    visit("padded", self.padded);
  }
};

// A weight of `count` rows of `width` elements.
struct EmbeddingAttributes {
  int64_t count = 1, width = 1;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("count", self.count);
    visit("width", self.width);
  }
};

// `lines` lines of `width` elements, the first from source_column to target_column. Each further
// line is one step further on both sides.
struct ColumnsAttributes {
  int64_t lines = 1, width = 1;
  int64_t source_column = 0, source_step = 1;
  int64_t target_column = 0, target_step = 1;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("lines", self.lines);
    visit("width", self.width);
    visit("source_column", self.source_column);
    visit("source_step", self.source_step);
    visit("target_column", self.target_column);
    visit("target_step", self.target_step);
  }
};

constexpr int kMaxRank = 8;

struct Dims {
  int rank = 0;
  int64_t sizes[kMaxRank] = {};
};

// Two shapes of one rank. Dimensions are equal, or 1 in the smaller shape.
struct ShapeAttributes {
  Dims source, target;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("source", self.source);
    visit("target", self.target);
  }
};

// A row of the shape `sizes`, whose elements stand `steps` apart in the operand.
struct PermuteAttributes {
  Dims sizes, steps;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("sizes", self.sizes);
    visit("steps", self.steps);
  }
};

// Images (C, H, W) and places (O, OH, OW) of a kernel (kh, kw), in `groups` groups of channels and
// outputs. `padding`: above and left of an image; what is read beyond the other sides is zero too.
// `taps`: the numbers of the taps that are used, ascending; none stands for all.
struct ConvolutionAttributes {
  int64_t image[3] = {1, 1, 1}, places[3] = {1, 1, 1}, kernel[2] = {1, 1};
  int64_t stride[2] = {1, 1}, padding[2] = {0, 0}, dilation[2] = {1, 1};
  int64_t groups = 1;
  std::vector<int64_t> taps;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("image", self.image);
    visit("places", self.places);
    visit("kernel", self.kernel);
    visit("stride", self.stride);
    visit("padding", self.padding);
    visit("dilation", self.dilation);
    visit("groups", self.groups);
    visit("taps", self.taps);
  }

  int64_t all_taps() const { return kernel[0] * kernel[1]; }
  int64_t num_taps() const { return taps.empty() ? all_taps() : static_cast<int64_t>(taps.size()); }
  int64_t tap(int64_t i) const { return taps.empty() ? i : taps[static_cast<size_t>(i)]; }
};

// Attention over children: `heads` heads, whose queries and keys have `size` elements and whose
// values have `values`. Scores add `positions` columns of a head, 0 without, and `biases` numbers
// of an edge: none, one for all heads, or one for each. Behind them, which gradients are wanted.
// Dropout, which levels do not have: of the 2^24 numbers that operation `key` draws, those below
// `zeroed` zero a weight.
struct AttentionAttributes {
  int64_t heads = 1, size = 1, values = 1;
  int64_t positions = 0, biases = 0;
  bool query = false, children = false, bias = false;
  int64_t zeroed = 0;
  uint32_t key = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("heads", self.heads);
    visit("size", self.size);
    visit("values", self.values);
    visit("positions", self.positions);
    visit("biases", self.biases);
    visit("query", self.query);
    visit("children", self.children);
    visit("bias", self.bias);
    visit("zeroed", self.zeroed);
    visit("key", self.key);
  }
};

enum class SampledRows : uint8_t { kVertex, kEdge, kGraph, kBatch };  // kBatch: none

// Random numbers that depend on the graph of a row and its place in the graph.
struct UniformAttributes {
  uint32_t key = 0;                         // of the operation
  SampledRows rows = SampledRows::kVertex;  // as the instruction's rows are
  int edges = 0;                            // of which list of edges they are

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("key", self.key);
  }
};

// Drawn in the same way, or by the ids of a row.
struct DropoutAttributes : UniformAttributes {
  double rate = 0;  // of zeros

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    UniformAttributes::fields(self, visit);
    visit("rate", self.rate);
  }
};

struct LoadAttributes {
  bool integers = false;  // as the instruction's output is

  template <class Self, class Visit>
  static void fields(Self&, Visit&&) {}
};

struct FillAttributes {
  double value = 0;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("value", self.value);
  }
};

}  // namespace cavs
