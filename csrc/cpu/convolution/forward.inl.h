// "conv": one stencil over the image of each row.
#pragma once

#include "cpu/convolution/panels.inl.h"

namespace cavs {
namespace {

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
    stencil.taps = s.num_taps;
    stencil.height = down.places;
    stencil.width = across.places;
    stencil.image_width = places.width;
    stencil.channel = down.places * across.places;
    stencil.line = across.places;
    stencil.by_pixels = better_by_pixels(stencil);
    image = memory.take<T>(s.groups * s.channels * places.channel + kReadsOn);
    packed = memory.take<T>(s.groups * packed_elements(stencil));
    stencil.offsets = memory.take<int32_t>(stencil.k);
    stencil.seen = memory.take<int32_t>(2 * stencil.height);
    taps = memory.take<int32_t>(s.num_taps);
    weight = {s.outputs, s.channels * s.all_taps, s.channels, s.all_taps, s.num_taps,
              taps,      s.taps == nullptr};
  }

  void find_offsets() {
    const ConvolutionSizes& s = sizes;
    for (int64_t i = 0; i < 2 * stencil.height; ++i) stencil.seen[i] = 0;
    for (int64_t t = 0; t < s.num_taps; ++t) {
      taps[t] = static_cast<int32_t>(s.tap(t));
      const Range lines = seen_by_tap(s.down, taps[t] / s.across.kernel);
      note_seen(stencil, t, lines.begin, lines.end);
    }
    int32_t* offset = stencil.offsets;
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t t = 0; t < s.num_taps; ++t) {
        *offset++ = places.at(c, taps[t] / s.across.kernel * s.down.dilation,
                              taps[t] % s.across.kernel * s.across.dilation);
      }
    }
  }
};

// Packs the weight for all groups.
template <class T>
void pack_forward(const ForwardPlan<T>& plan, const T* weight, T* packed) {
  const ConvolutionSizes& s = plan.sizes;
  for (int64_t g = 0; g < s.groups; ++g) {
    pack_stencil(plan.stencil, plan.weight, weight + g * s.outputs * s.channels * s.all_taps,
                 packed + g * packed_elements(plan.stencil));
  }
}

template <class T>
void conv(const KernelCall& call) {
  Carver memory(call.scratch);
  ForwardPlan<T> plan(attributes_of<ConvolutionAttributes>(call), memory);
  plan.find_offsets();
  const ConvolutionSizes& s = plan.sizes;
  const int64_t channels = s.channels * plan.places.channel;
  fill_row(plan.image, T(0), s.groups * channels + kReadsOn);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* panels = panels_for<T>(call, r, plan.packed, [&](const T* weight, T* packed) {
      pack_forward(plan, weight, packed);
    });
    fill_image(plan.places, s, s.groups * s.channels, row_of<T>(call.in[0], r), plan.image);
    for (int64_t g = 0; g < s.groups; ++g) {
      Stencil<T> stencil = plan.stencil;
      stencil.weight = panels + g * packed_elements(stencil);
      convolve(stencil, plan.image + g * channels,
               row_of<T>(call.out[0], r) + g * s.outputs * stencil.channel);
    }
  }
}

}  // namespace
}  // namespace cavs
