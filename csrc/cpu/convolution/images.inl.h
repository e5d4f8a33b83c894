// Images of rows with a border, in the memory of a thread.
//
// A row's image is copied once and, for stride s, taken apart into s x s images of every s-th
// pixel, of which neighbours stand side by side.
#pragma once

#include "cpu/convolution/table.h"
#include "cpu/kernels/rows.inl.h"

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

struct Range {
  int64_t begin, end;
};

CAVS_INLINE Range hull(const Range& a, const Range& b) {
  return {least(a.begin, b.begin), greatest(a.end, b.end)};
}

// The places along an axis of which tap i sees the image, not the border.
CAVS_INLINE Range seen_by_tap(const Axis& axis, int64_t i) {
  const int64_t first = axis.before - axis.dilation * i, last = first + axis.size - 1;
  return {first <= 0 ? 0 : (first + axis.stride - 1) / axis.stride,
          last < 0 ? 0 : least(axis.places, last / axis.stride + 1)};
}

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

// Copies a line of an image, and zeros over what follows up to a whole vector: a border, or lines
// that are copied later.
template <class T>
CAVS_INLINE void copy_line(T* target, const T* line, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_vector(target + i, load_vector(line + i));
  if (i < n) store_vector<T>(target + i, load_lanes(line + i, n - i, T(0)));
}

// Copies planes of an image in the order of their places; the border, zeros, stays as it is. The
// place of a line is found from that of the line before: a division takes longer than the copy.
template <class T>
void fill_image(const ImagePlaces& m, const ConvolutionSizes& s, int64_t channels, const T* x,
                T* image) {
  const Axis &down = s.down, &across = s.across;
  const int64_t lines = least(down.size, down.reach() - down.before);
  const int64_t pixels = least(across.size, across.reach() - across.before);
  for (int64_t c = 0; c < channels; ++c, x += down.size * across.size, image += m.channel) {
    for (int64_t first = 0; first < m.stride_down; ++first) {
      const int64_t padded = down.before % m.stride_down;
      const int64_t y = (first - padded + m.stride_down) % m.stride_down;
      for (int64_t v = 0; v < least(m.stride_across, pixels); ++v) {
        T* target = image + m.at(0, y + down.before, v + across.before);
        for (int64_t at = y; at < lines; at += m.stride_down, target += m.width) {
          const T* line = x + at * across.size;
          if (m.stride_across == 1) {
            copy_line(target, line, pixels);
          } else {
            T* to = target;
            for (int64_t u = v; u < pixels; u += m.stride_across) *to++ = line[u];
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace cavs
