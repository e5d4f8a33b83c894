// "conv_input", the gradient of images and the transposed convolution: for stride s, s x s small
// convolutions of the places.
#pragma once

#include "cpu/convolution/panels.inl.h"

namespace cavs {
namespace {

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
  int64_t first;   // pixel
  int64_t packed;  // where its panels begin
};

template <class T>
struct ImagePlan {
  ConvolutionSizes sizes;
  ImagePlaces places;
  int64_t border_down, border_across, count_down, count_across;
  T* image;
  T* packed;
  int64_t packed_count = 0;  // elements
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
        phase.packed = packed_count;
        packed_count += s.groups * packed_elements(phase.stencil);
        if (!counts) phases[i * count_across + j] = phase;
      }
    }
    packed = memory.take<T>(packed_count);
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
    it.taps = taps;
    it.height = y.count;
    it.width = x.count;
    it.image_width = places.width;
    it.channel = s.down.size * s.across.size;
    it.line = s.down.stride * s.across.size;
    it.pixel = s.across.stride;
    it.by_pixels = better_by_pixels(it);
    it.offsets = memory.take<int32_t>(it.k);
    it.seen = memory.take<int32_t>(2 * it.height);
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
    for (int64_t i = 0; i < 2 * it.height; ++i) it.seen[i] = 0;
    for (int64_t t = 0; t < s.num_taps; ++t) {
      if (!used(t)) continue;
      const int64_t i = s.tap(t) / s.across.kernel;
      const int64_t line = (s.down.dilation * i - y.rest) / s.down.stride - y.shift;
      note_seen(it, count, line, line + s.down.places);
      list[count++] = static_cast<int32_t>(s.tap(t));
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
void pack_phases(const ImagePlan<T>& plan, const T* weight, T* packed) {
  const ConvolutionSizes& s = plan.sizes;
  for (int64_t i = 0; i < plan.count_down * plan.count_across; ++i) {
    const PixelPhase<T>& phase = plan.phases[i];
    for (int64_t g = 0; g < s.groups; ++g) {
      pack_stencil(phase.stencil, phase.weight, weight + g * s.outputs * s.channels * s.all_taps,
                   packed + phase.packed + g * packed_elements(phase.stencil));
    }
  }
}

template <class T>
void conv_input(const KernelCall& call) {
  Carver memory(call.scratch);
  const ImagePlan<T> plan(attributes_of<ConvolutionAttributes>(call), memory, false);
  const ConvolutionSizes& s = plan.sizes;
  const ImagePlaces& m = plan.places;
  const int64_t outputs = s.outputs * m.channel, width = s.across.places;
  fill_row(plan.image, T(0), s.groups * outputs + kReadsOn);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* panels = panels_for<T>(call, r, plan.packed, [&](const T* weight, T* packed) {
      pack_phases(plan, weight, packed);
    });
    const T* dy = row_of<T>(call.in[0], r);
    for (int64_t o = 0; o < s.groups * s.outputs; ++o) {
      T* target = plan.image + m.at(o, plan.border_down, plan.border_across);
      for (int64_t y = 0; y < s.down.places; ++y, dy += width, target += m.width) {
        copy_line(target, dy, width);
      }
    }
    for (int64_t g = 0; g < s.groups; ++g) {
      for (int64_t i = 0; i < plan.count_down * plan.count_across; ++i) {
        const PixelPhase<T>& phase = plan.phases[i];
        Stencil<T> stencil = phase.stencil;
        stencil.weight = panels + phase.packed + g * packed_elements(stencil);
        convolve(stencil, plan.image + g * outputs,
                 row_of<T>(call.out[0], r) + g * s.channels * stencil.channel + phase.first);
      }
    }
  }
}

}  // namespace
}  // namespace cavs
