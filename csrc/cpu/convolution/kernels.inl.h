// "conv" and its derivatives "conv_input", "conv_weight" and "conv_weight_reduce", over the image
// of each row.
//
// A row's image is copied once with its border and, for stride s, taken apart into s x s images of
// every s-th pixel, of which neighbours stand side by side. The gradient of the image is as many
// small convolutions of the places.
#pragma once

#include "cpu/convolution/table.h"
#include "cpu/convolution/tiles.inl.h"

namespace cavs {
namespace {

// Takes parts of the memory of a thread; counts the bytes where there is none.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(int64_t count) {
    char* const found = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(found);
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* memory_;
  int64_t bytes_ = 0;
};

struct Axis {
  int64_t size, places, kernel, stride, before, dilation;
  // What is read of the image with its border.
  int64_t reach() const { return (places - 1) * stride + dilation * (kernel - 1) + 1; }
};

CAVS_INLINE Axis axis_of(const ConvolutionAttributes& it, int axis) {
  return {it.image[1 + axis], it.places[1 + axis], it.kernel[axis],
          it.stride[axis],    it.padding[axis],    it.dilation[axis]};
}

// Attributes without calls of a standard container, whose inline functions are not to stand here.
struct ConvolutionSizes {
  int64_t channels, outputs, groups, all_taps, num_taps;  // channels and outputs of one group
  const int64_t* taps;                                    // null for all
  Axis down, across;

  CAVS_INLINE int64_t tap(int64_t i) const { return taps == nullptr ? i : taps[i]; }
};

CAVS_INLINE ConvolutionSizes sizes_of(const ConvolutionAttributes& it) {
  ConvolutionSizes s;
  s.groups = it.groups;
  s.channels = it.image[0] / it.groups;
  s.outputs = it.places[0] / it.groups;
  s.down = axis_of(it, 0);
  s.across = axis_of(it, 1);
  s.all_taps = s.down.kernel * s.across.kernel;
  const TapList used = used_taps(it);
  s.taps = used.taps;
  s.num_taps = used.taps == nullptr ? s.all_taps : used.count;
  return s;
}

// Where the pixels of an image with its border stand: (y, x) in image (y % stride, x % stride) of
// its channel. Behind the last one there is room for a tile that reads on.
struct ImagePlaces {
  int64_t height, width;  // of each of the images
  int64_t across;         // images side by side
  int64_t stride_down, stride_across;
  int64_t channel;

  CAVS_INLINE int32_t at(int64_t c, int64_t y, int64_t x) const {
    const int64_t image = y % stride_down * across + x % stride_across;
    return static_cast<int32_t>(c * channel + image * height * width + y / stride_down * width +
                                x / stride_across);
  }
};

CAVS_INLINE ImagePlaces image_places(int64_t high, int64_t wide, int64_t down, int64_t across) {
  ImagePlaces m;
  m.stride_down = down;
  m.stride_across = across;
  m.height = (high + down - 1) / down;
  m.width = (wide + across - 1) / across;
  m.across = least(across, wide);
  m.channel = least(down, high) * m.across * m.height * m.width;
  return m;
}

constexpr int64_t kReadsOn = 64;  // elements behind an image

// Copies planes of an image; the border, zeros, stays as it is.
template <class T>
void fill_image(const ImagePlaces& m, const ConvolutionSizes& s, int64_t channels, const T* x,
                T* image) {
  const Axis &down = s.down, &across = s.across;
  const int64_t lines = least(down.size, down.reach() - down.before);
  const int64_t pixels = least(across.size, across.reach() - across.before);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < lines; ++y) {
      const T* line = x + (c * down.size + y) * across.size;
      if (m.stride_across == 1) {
        if (pixels > 0) copy_row(image + m.at(c, y + down.before, across.before), line, pixels);
        continue;
      }
      for (int64_t v = 0; v < least(m.stride_across, pixels); ++v) {
        T* target = image + m.at(c, y + down.before, v + across.before);
        for (int64_t u = v; u < pixels; u += m.stride_across) *target++ = line[u];
      }
    }
  }
}

// A weight as the rows of a stencil: element (row, l) with l = (m, tap) stands at
// row * row_step + m * outer_step + tap. Some of its taps are used, in the order of `taps`.
struct WeightRows {
  int64_t rows, row_step, outer, outer_step;
  int64_t num_taps;
  const int32_t* taps;
  bool adjacent;  // the taps 0, 1, ... that all stand together
};

// Packs `columns` rows from `row` on into lines of `width` elements, one for each l.
template <class T>
void pack_stencil_rows(const WeightRows& w, const T* weight, int64_t row, int64_t columns,
                       int64_t width, T* panel) {
  const T* first = weight + row * w.row_step;
  if (columns < width) fill_row(panel, T(0), w.outer * w.num_taps * width);
  if (w.adjacent && w.outer_step == w.num_taps) {
    return pack_transposed(first, w.row_step, w.outer * w.num_taps, columns, panel, width);
  }
  for (int64_t m = 0; m < w.outer; ++m, first += w.outer_step, panel += w.num_taps * width) {
    if (w.adjacent) {
      pack_transposed(first, w.row_step, w.num_taps, columns, panel, width);
      continue;
    }
    for (int64_t t = 0; t < w.num_taps; ++t) {
      const T* element = first + w.taps[t];
      for (int64_t j = 0; j < columns; ++j) panel[t * width + j] = element[j * w.row_step];
    }
  }
}

template <class T>
int64_t packed_elements(const Stencil<T>& s) {
  return (s.by_pixels ? round_up(s.rows, kPanelColumns<T>) : s.rows) * s.k;
}

template <class T>
void pack_stencil(const Stencil<T>& s, const WeightRows& w, const T* weight, T* packed) {
  if (s.by_pixels) {
    for (int64_t row = 0; row < s.rows; row += kPanelColumns<T>) {
      pack_stencil_rows(w, weight, row, least(kPanelColumns<T>, s.rows - row), kPanelColumns<T>,
                        packed + row * s.k);
    }
    return;
  }
  const int64_t tiles = (s.rows + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = first_of(s.rows, kTileRows, t);
    const int64_t few = first_of(s.rows, kTileRows, t + 1) - row;
    pack_stencil_rows(w, weight, row, few, few, packed + row * s.k);
  }
}

// Whether channels fill vectors better than places do, which lose the ends of lines. A tile of
// pixels is turned round before it is stored.
template <class T>
bool better_by_pixels(const Stencil<T>& s) {
  constexpr int64_t turned = 12, stored = 3;  // as long as so many taps: measured
  const double by_places =
      static_cast<double>(s.width) / static_cast<double>(slots_of_line(s) * kLanes<T>);
  const double by_pixels =
      static_cast<double>(s.rows) / static_cast<double>(round_up(s.rows, kLanes<T>));
  return by_pixels * static_cast<double>(s.k + stored) >
         by_places * static_cast<double>(s.k + turned);
}

// The forward convolution as one stencil.
template <class T>
struct ForwardPlan {
  ConvolutionSizes sizes;
  ImagePlaces places;
  Stencil<T> stencil;
  WeightRows weight;
  T* image;
  T* packed;  // of each group
  int32_t* taps;

  ForwardPlan(const ConvolutionAttributes& it, Carver& memory) : sizes(sizes_of(it)) {
    const ConvolutionSizes& s = sizes;
    const Axis &down = s.down, &across = s.across;
    places = image_places(down.reach(), across.reach(), down.stride, across.stride);
    stencil.rows = s.outputs;
    stencil.k = s.channels * s.num_taps;
    stencil.height = down.places;
    stencil.width = across.places;
    stencil.image_width = places.width;
    stencil.channel = down.places * across.places;
    stencil.line = across.places;
    stencil.by_pixels = better_by_pixels(stencil);
    image = memory.take<T>(s.groups * s.channels * places.channel + kReadsOn);
    packed = memory.take<T>(s.groups * packed_elements(stencil));
    stencil.offsets = memory.take<int32_t>(stencil.k);
    taps = memory.take<int32_t>(s.num_taps);
    weight = {s.outputs, s.channels * s.all_taps, s.channels, s.all_taps, s.num_taps,
              taps,      s.taps == nullptr};
  }

  void find_offsets() {
    const ConvolutionSizes& s = sizes;
    for (int64_t t = 0; t < s.num_taps; ++t) taps[t] = static_cast<int32_t>(s.tap(t));
    int32_t* offset = stencil.offsets;
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t t = 0; t < s.num_taps; ++t) {
        *offset++ = places.at(c, taps[t] / s.across.kernel * s.down.dilation,
                              taps[t] % s.across.kernel * s.across.dilation);
      }
    }
  }
};

template <class T>
void conv(const KernelCall& call) {
  Carver memory(call.scratch);
  ForwardPlan<T> plan(attributes_of<ConvolutionAttributes>(call), memory);
  plan.find_offsets();
  const ConvolutionSizes& s = plan.sizes;
  const Operand& w = call.in[1];
  const int64_t channels = s.channels * plan.places.channel;
  const int64_t weight = s.outputs * s.channels * s.all_taps;
  fill_row(plan.image, T(0), s.groups * channels + kReadsOn);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    fill_image(plan.places, s, s.groups * s.channels, row_of<T>(call.in[0], r), plan.image);
    for (int64_t g = 0; g < s.groups; ++g) {
      Stencil<T> stencil = plan.stencil;
      stencil.weight = plan.packed + g * packed_elements(stencil);
      if (r == call.row_begin || w.ld != 0) {
        pack_stencil(stencil, plan.weight, row_of<T>(w, r) + g * weight, stencil.weight);
      }
      convolve(stencil, plan.image + g * channels,
               row_of<T>(call.out[0], r) + g * s.outputs * stencil.channel);
    }
  }
}

// The pixels y = first + stride * u of an image, u < count, and the taps that reach them: tap i
// reaches u from place u + shift - (dilation * i - rest) / stride.
struct Pixels {
  int64_t first, count, rest, shift;
};

CAVS_INLINE Pixels pixels_of(const Axis& axis, int64_t first) {
  Pixels p;
  p.first = first;
  p.count = (axis.size - first + axis.stride - 1) / axis.stride;
  p.rest = (first + axis.before) % axis.stride;
  p.shift = (first + axis.before - p.rest) / axis.stride;
  return p;
}

CAVS_INLINE bool reaches(const Axis& axis, const Pixels& p, int64_t i) {
  return axis.dilation * i % axis.stride == p.rest;
}

// One of the small convolutions of places that make the gradient of an image.
template <class T>
struct PixelPhase {
  Stencil<T> stencil;
  WeightRows weight;
  int64_t first;  // pixel
};

template <class T>
struct ImagePlan {
  ConvolutionSizes sizes;
  ImagePlaces places;
  int64_t border_down, border_across, count_down, count_across;
  T* image;
  PixelPhase<T>* phases;

  // Twice the same walk: where the memory is only counted nothing is written.
  ImagePlan(const ConvolutionAttributes& it, Carver& memory, bool counts) : sizes(sizes_of(it)) {
    const ConvolutionSizes& s = sizes;
    const Axis &down = s.down, &across = s.across;
    border_down = down.dilation * (down.kernel - 1) / down.stride;
    border_across = across.dilation * (across.kernel - 1) / across.stride;
    const auto reach = [](const Axis& axis) {
      return greatest((axis.size - 1 + axis.before) / axis.stride + 1, axis.places);
    };
    places = image_places(reach(down) + border_down, reach(across) + border_across, 1, 1);
    image = memory.take<T>(s.groups * s.outputs * places.channel + kReadsOn);
    count_down = least(down.stride, down.size);
    count_across = least(across.stride, across.size);
    phases = memory.take<PixelPhase<T>>(count_down * count_across);
    for (int64_t i = 0; i < count_down; ++i) {
      for (int64_t j = 0; j < count_across; ++j) {
        PixelPhase<T> phase = make(pixels_of(down, i), pixels_of(across, j), memory, counts);
        if (!counts) phases[i * count_across + j] = phase;
      }
    }
  }

  PixelPhase<T> make(const Pixels& y, const Pixels& x, Carver& memory, bool counts) {
    const ConvolutionSizes& s = sizes;
    const auto used = [&](int64_t t) {
      return reaches(s.down, y, s.tap(t) / s.across.kernel) &&
             reaches(s.across, x, s.tap(t) % s.across.kernel);
    };
    int64_t taps = 0;
    for (int64_t t = 0; t < s.num_taps; ++t) taps += used(t) ? 1 : 0;
    PixelPhase<T> phase;
    phase.first = y.first * s.across.size + x.first;
    Stencil<T>& it = phase.stencil;
    it.rows = s.channels;
    it.k = s.outputs * taps;
    it.height = y.count;
    it.width = x.count;
    it.image_width = places.width;
    it.channel = s.down.size * s.across.size;
    it.line = s.down.stride * s.across.size;
    it.pixel = s.across.stride;
    it.by_pixels = better_by_pixels(it);
    it.weight = memory.take<T>(s.groups * packed_elements(it));
    it.offsets = memory.take<int32_t>(it.k);
    int32_t* const list = memory.take<int32_t>(taps);
    phase.weight = {s.channels,
                    s.all_taps,
                    s.outputs,
                    s.channels * s.all_taps,
                    taps,
                    list,
                    s.taps == nullptr && taps == s.all_taps};
    if (counts) return phase;
    int64_t count = 0;
    for (int64_t t = 0; t < s.num_taps; ++t) {
      if (used(t)) list[count++] = static_cast<int32_t>(s.tap(t));
    }
    int32_t* offset = it.offsets;
    for (int64_t o = 0; o < s.outputs; ++o) {
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t i = list[t] / s.across.kernel, j = list[t] % s.across.kernel;
        const int64_t up = (s.down.dilation * i - y.rest) / s.down.stride;
        const int64_t left = (s.across.dilation * j - x.rest) / s.across.stride;
        *offset++ = places.at(o, y.shift + border_down - up, x.shift + border_across - left);
      }
    }
    return phase;
  }
};

template <class T>
void conv_input(const KernelCall& call) {
  Carver memory(call.scratch);
  const ImagePlan<T> plan(attributes_of<ConvolutionAttributes>(call), memory, false);
  const ConvolutionSizes& s = plan.sizes;
  const ImagePlaces& m = plan.places;
  const Operand& w = call.in[1];
  const int64_t outputs = s.outputs * m.channel, lines = s.down.places, width = s.across.places;
  const int64_t weight = s.outputs * s.channels * s.all_taps;
  fill_row(plan.image, T(0), s.groups * outputs + kReadsOn);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* dy = row_of<T>(call.in[0], r);
    for (int64_t line = 0; line < s.groups * s.outputs * lines; ++line, dy += width) {
      const int64_t at = m.at(line / lines, line % lines + plan.border_down, plan.border_across);
      copy_row(plan.image + at, dy, width);
    }
    for (int64_t g = 0; g < s.groups; ++g) {
      for (int64_t i = 0; i < plan.count_down * plan.count_across; ++i) {
        const PixelPhase<T>& phase = plan.phases[i];
        Stencil<T> stencil = phase.stencil;
        stencil.weight += g * packed_elements(stencil);
        if (r == call.row_begin || w.ld != 0) {
          pack_stencil(stencil, phase.weight, row_of<T>(w, r) + g * weight, stencil.weight);
        }
        convolve(stencil, plan.image + g * outputs,
                 row_of<T>(call.out[0], r) + g * s.channels * stencil.channel + phase.first);
      }
    }
  }
}

// The gradient of a weight: sums over the places of some images at a time, so that tiles are not
// stored after each of a few places. Taps stand by their runs, the longest first.
template <class T>
struct WeightPlan {
  ForwardPlan<T> forward;
  int64_t images;   // at a time
  int64_t columns;  // of the sums of a group, whole panels
  int64_t image_elements;
  T* image;
  T* dys;                         // [image][panel][place]
  T* sums;                        // [group][tap of a run]
  int32_t* offsets;               // [run] of a group's images
  int32_t* order;                 // [tap of a run] its number l
  int32_t* sorted;                // taps of a channel by their offsets
  int64_t runs[kLongestRun + 1];  // how many of each length
  int64_t tiles;                  // of a group

  WeightPlan(const ConvolutionAttributes& it, Carver& memory) : forward(it, memory) {
    constexpr int64_t kPlaces = 196;
    const ConvolutionSizes& s = forward.sizes;
    const int64_t places = s.down.places * s.across.places;
    images = greatest(1, least(8, kPlaces / places));
    columns = round_up(s.outputs, kPanelColumns<T>);
    image_elements = s.groups * s.channels * forward.places.channel;
    image = memory.take<T>(images * image_elements + kReadsOn);
    dys = memory.take<T>(images * columns * places);
    sums = memory.take<T>(s.groups * forward.stencil.k * columns);
    offsets = memory.take<int32_t>(forward.stencil.k);
    order = memory.take<int32_t>(forward.stencil.k);
    sorted = memory.take<int32_t>(s.num_taps);
  }

  void find_runs() {
    forward.find_offsets();
    const ConvolutionSizes& s = forward.sizes;
    const int32_t* offset = forward.stencil.offsets;
    for (int64_t t = 0; t < s.num_taps; ++t) {
      int64_t at = t;
      for (; at > 0 && offset[sorted[at - 1]] > offset[t]; --at) sorted[at] = sorted[at - 1];
      sorted[at] = static_cast<int32_t>(t);
    }
    int32_t *run = offsets, *tap = order;
    tiles = 0;
    for (int length = kLongestRun; length > 0; --length) {
      const int32_t* const first = run;
      for (int64_t c = 0; c < s.channels; ++c) add_runs(length, c, &run, &tap);
      runs[length] = run - first;
      tiles += (runs[length] + runs_of_tile(length) - 1) / runs_of_tile(length);
    }
  }

  // Of a channel, those of this length; longer ones are cut.
  void add_runs(int64_t length, int64_t c, int32_t** run, int32_t** tap) const {
    const ConvolutionSizes& s = forward.sizes;
    const int32_t* offset = forward.stencil.offsets;
    for (int64_t begin = 0, end = 1; begin < s.num_taps; begin = end++) {
      while (end < s.num_taps && offset[sorted[end]] == offset[sorted[end - 1]] + 1) ++end;
      const int64_t taps = end - begin, pieces = (taps + kLongestRun - 1) / kLongestRun;
      for (int64_t i = 0; i < pieces; ++i) {
        const int64_t from = begin + first_of(taps, kLongestRun, i);
        if (begin + first_of(taps, kLongestRun, i + 1) - from != length) continue;
        *(*run)++ = offset[c * s.num_taps + sorted[from]];
        for (int64_t t = from; t < from + length; ++t) {
          *(*tap)++ = static_cast<int32_t>(c * s.num_taps + sorted[t]);
        }
      }
    }
  }

  // The runs of a tile of a group.
  struct Tile {
    int64_t taps, runs, run, tap;  // of each run, how many, and the first of both
  };
  Tile tile(int64_t number) const {
    int64_t run = 0, tap = 0;
    for (int length = kLongestRun;; --length) {
      const int64_t most = runs_of_tile(length), count = (runs[length] + most - 1) / most;
      if (number < count) {
        const int64_t first = first_of(runs[length], most, number);
        const int64_t few = first_of(runs[length], most, number + 1) - first;
        return {length, few, run + first, tap + first * length};
      }
      number -= count;
      run += runs[length];
      tap += runs[length] * length;
    }
  }
};

// Copies images and places [begin, end), of one group, to where tiles read them.
template <class T>
void bring_places(const WeightPlan<T>& plan, const KernelCall& call, int64_t group, int64_t begin,
                  int64_t end) {
  const ConvolutionSizes& s = plan.forward.sizes;
  const int64_t places = plan.forward.stencil.channel;
  for (int64_t r = begin; r < end; ++r) {
    const T* dy = row_of<T>(call.in[1], r) + group * s.outputs * places;
    T* target = plan.dys + (r - begin) * plan.columns * places;
    for (int64_t p = 0; p < s.outputs; p += kPanelColumns<T>) {
      pack_transposed(dy + p * places, places, places, least(kPanelColumns<T>, s.outputs - p),
                      target + p * places, kPanelColumns<T>);
    }
  }
}

// Adds the gradient of the images [begin, end) to the sums of the tiles [first, last), which count
// through the groups.
template <class T>
void add_weight_sums(const WeightPlan<T>& plan, const KernelCall& call, int64_t begin, int64_t end,
                     int64_t first, int64_t last) {
  const ForwardPlan<T>& forward = plan.forward;
  const ConvolutionSizes& s = forward.sizes;
  const Stencil<T>& stencil = forward.stencil;
  const int64_t places = stencil.channel;
  for (int64_t r = begin; r < end; ++r) {
    fill_image(forward.places, s, s.groups * s.channels, row_of<T>(call.in[0], r),
               plan.image + (r - begin) * plan.image_elements);
  }
  WeightOperands<T> operands;
  operands.images = end - begin;
  operands.image_step = plan.image_elements;
  operands.dy_step = plan.columns * places;
  for (int64_t number = first; number < last; ++number) {
    const int64_t group = number / plan.tiles;
    if (number == first || number % plan.tiles == 0) bring_places(plan, call, group, begin, end);
    operands.image = plan.image + group * s.channels * forward.places.channel;
    const auto tile = plan.tile(number % plan.tiles);
    const int32_t* offsets = plan.offsets + tile.run;
    T* sums = plan.sums + (group * stencil.k + tile.tap) * plan.columns;
    for (int64_t p = 0; p < s.outputs; p += kPanelColumns<T>) {
      operands.dy = plan.dys + p * places;
      if (s.outputs - p > kLanes<T>) {
        weight_tiles<kLongestRun, 2>(tile.taps, tile.runs, stencil, operands, offsets, sums + p,
                                     plan.columns);
      } else {
        weight_tiles<kLongestRun, 1>(tile.taps, tile.runs, stencil, operands, offsets, sums + p,
                                     plan.columns);
      }
    }
  }
}

// Writes the sums of a tap of a group, and zeros for the taps before it that are not used, behind
// the last one too; or adds the sums to what is there.
template <class T>
void write_tap(const WeightPlan<T>& plan, int64_t group, int64_t l, const T* sums, bool adds,
               T* dw) {
  const ConvolutionSizes& s = plan.forward.sizes;
  const int64_t c = l / s.num_taps, t = l % s.num_taps;
  const int64_t from = t == 0 ? 0 : s.tap(t - 1) + 1;
  const int64_t end = t == s.num_taps - 1 ? s.all_taps : s.tap(t) + 1;
  for (int64_t o = 0; o < s.outputs; ++o) {
    T* target = dw + ((group * s.outputs + o) * s.channels + c) * s.all_taps;
    for (int64_t i = from; i < end && !adds; ++i) target[i] = 0;
    target[s.tap(t)] = adds ? target[s.tap(t)] + sums[o] : sums[o];
  }
}

// The gradient by the rows [begin, end), of the taps in the tiles [first, last).
template <class T>
void add_weight_rows(const WeightPlan<T>& plan, const KernelCall& call, int64_t begin, int64_t end,
                     int64_t first, int64_t last, bool adds, T* dw) {
  const int64_t k = plan.forward.stencil.k;
  const auto each_tap = [&](auto body) {
    for (int64_t number = first; number < last; ++number) {
      const auto tile = plan.tile(number % plan.tiles);
      const int64_t group = number / plan.tiles, taps = tile.taps * tile.runs;
      for (int64_t i = tile.tap; i < tile.tap + taps; ++i) {
        body(group, plan.order[i], plan.sums + (group * k + i) * plan.columns);
      }
    }
  };
  each_tap([&](int64_t, int64_t, T* sums) { fill_row(sums, T(0), plan.columns); });
  for (int64_t r = begin; r < end; r += plan.images) {
    add_weight_sums(plan, call, r, least(r + plan.images, end), first, last);
  }
  each_tap(
      [&](int64_t group, int64_t l, const T* sums) { write_tap(plan, group, l, sums, adds, dw); });
}

template <class T>
WeightPlan<T> prepared_weight_plan(const KernelCall& call) {
  Carver memory(call.scratch);
  WeightPlan<T> plan(attributes_of<ConvolutionAttributes>(call), memory);
  plan.find_runs();
  fill_row(plan.image, T(0), plan.images * plan.image_elements + kReadsOn);
  fill_row(plan.dys, T(0), plan.images * plan.columns * plan.forward.stencil.channel);
  return plan;
}

template <class T>
void conv_weight(const KernelCall& call) {
  const WeightPlan<T> plan = prepared_weight_plan<T>(call);
  const int64_t tiles = plan.forward.sizes.groups * plan.tiles;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    add_weight_rows(plan, call, r, r + 1, 0, tiles, false, row_of<T>(call.out[0], r));
  }
}

// Threads share the elements of the sum. A third operand is the output itself; the sum then goes on
// from its values.
template <class T>
void conv_weight_reduce(const KernelCall& call) {
  const WeightPlan<T> plan = prepared_weight_plan<T>(call);
  const int64_t tiles = plan.forward.sizes.groups * plan.tiles;
  add_weight_rows(plan, call, call.row_begin, call.row_end, tiles * call.thread / call.num_threads,
                  tiles * (call.thread + 1) / call.num_threads, call.num_in > 2,
                  static_cast<T*>(call.out[0].data));
}

// The memory that a thread needs for a convolution of this kind.
template <class T>
int64_t convolution_bytes(const ConvolutionAttributes& it, ConvolutionKind kind) {
  Carver memory(nullptr);
  if (kind == ConvolutionKind::kForward) {
    const ForwardPlan<T> plan(it, memory);
  } else if (kind == ConvolutionKind::kInput) {
    const ImagePlan<T> plan(it, memory, true);
  } else {
    const WeightPlan<T> plan(it, memory);
  }
  return memory.bytes();
}

}  // namespace
}  // namespace cavs
