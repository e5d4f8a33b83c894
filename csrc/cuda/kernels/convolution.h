// "conv" and its derivatives, an element of the result at a time, in the order of channels and
// taps. Neighbouring threads read neighbouring pixels.
#pragma once

#include "cuda/kernels/crew.h"

namespace cavs::cuda {
namespace {

// The numbers of an element of `planes` planes of lines.
struct Position {
  int plane, line, column;
};

__device__ __forceinline__ Position position_of(int element, int lines, int columns) {
  const int above = element / columns;
  return {above / lines, above % lines, element % columns};
}

__device__ __forceinline__ bool is_used(const Convolution& call, int tap) {
  return call.masked == 0 || (call.taps[tap / 32] >> (tap % 32) & 1u) != 0;
}

// Where a tap meets an image, which may be outside of it.
__device__ __forceinline__ int met_by(const Convolution& call, int axis, int place, int tap) {
  return place * call.stride[axis] + tap * call.dilation[axis] - call.padding[axis];
}

__device__ __forceinline__ void conv(const Convolution& call) {
  const int channels = call.image[0] / call.groups, outputs = call.places[0] / call.groups;
  const int high = call.image[1], wide = call.image[2];
  for_each_element(call.tiling, call.rows, [&](int r, int element) {
    const Position y = position_of(element, call.places[1], call.places[2]);
    const int size = high * wide, taps = call.kernel[0] * call.kernel[1];
    const Real* x = row_of<const Real>(call.in[0], r) +
                    static_cast<long long>(y.plane / outputs) * channels * size;
    const Real* w =
        row_of<const Real>(call.in[1], r) + static_cast<long long>(y.plane) * channels * taps;
    Real total = 0;
    for (int c = 0; c < channels; ++c, x += size, w += taps) {
      for (int i = 0; i < call.kernel[0]; ++i) {
        const int line = met_by(call, 0, y.line, i);
        if (line < 0 || line >= high) continue;
        for (int j = 0; j < call.kernel[1]; ++j) {
          const int column = met_by(call, 1, y.column, j), tap = i * call.kernel[1] + j;
          if (column < 0 || column >= wide || !is_used(call, tap)) continue;
          total += w[tap] * x[line * wide + column];
        }
      }
    }
    row_of<Real>(call.out, r)[element] = total;
  });
}

// The place of which tap `tap` meets this pixel, -1 if there is none.
__device__ __forceinline__ int place_of(const Convolution& call, int axis, int pixel, int tap) {
  const int from = pixel + call.padding[axis] - tap * call.dilation[axis];
  if (from < 0 || from % call.stride[axis] != 0) return -1;
  const int place = from / call.stride[axis];
  return place < call.places[1 + axis] ? place : -1;
}

__device__ __forceinline__ void conv_input(const Convolution& call) {
  const int channels = call.image[0] / call.groups, outputs = call.places[0] / call.groups;
  for_each_element(call.tiling, call.rows, [&](int r, int element) {
    const Position x = position_of(element, call.image[1], call.image[2]);
    const int size = call.places[1] * call.places[2], taps = call.kernel[0] * call.kernel[1];
    const long long first = static_cast<long long>(x.plane / channels) * outputs;
    const Real* dy = row_of<const Real>(call.in[0], r) + first * size;
    const Real* w =
        row_of<const Real>(call.in[1], r) + (first * channels + x.plane % channels) * taps;
    Real total = 0;
    for (int o = 0; o < outputs; ++o, dy += size, w += static_cast<long long>(channels) * taps) {
      for (int i = 0; i < call.kernel[0]; ++i) {
        const int line = place_of(call, 0, x.line, i);
        if (line < 0) continue;
        for (int j = 0; j < call.kernel[1]; ++j) {
          const int column = place_of(call, 1, x.column, j), tap = i * call.kernel[1] + j;
          if (column < 0 || !is_used(call, tap)) continue;
          total += w[tap] * dy[line * call.places[2] + column];
        }
      }
    }
    row_of<Real>(call.out, r)[element] = total;
  });
}

// An element of a weight, and what meets it.
struct Tap {
  const Real *x, *dy;  // planes of row 0
  int i, j;
  bool used;
};

__device__ __forceinline__ Tap tap_of(const Convolution& call, int element) {
  const int channels = call.image[0] / call.groups, outputs = call.places[0] / call.groups;
  const int taps = call.kernel[0] * call.kernel[1], tap = element % taps;
  const int output = element / taps / channels, c = element / taps % channels;
  const int plane = output / outputs * channels + c;
  Tap it;
  it.x = static_cast<const Real*>(call.in[0].data) +
         static_cast<long long>(plane) * call.image[1] * call.image[2];
  it.dy = static_cast<const Real*>(call.in[1].data) +
          static_cast<long long>(output) * call.places[1] * call.places[2];
  it.i = tap / call.kernel[1];
  it.j = tap % call.kernel[1];
  it.used = is_used(call, tap);
  return it;
}

// The term of a place of a row; zero where the tap is outside of the image.
__device__ __forceinline__ Real term_of(const Convolution& call, const Tap& it, int r, int place) {
  const int column = met_by(call, 1, place % call.places[2], it.j);
  const int line = met_by(call, 0, place / call.places[2], it.i);
  if (line < 0 || line >= call.image[1] || column < 0 || column >= call.image[2]) return 0;
  const long long row = r;
  return it.dy[row * call.in[1].ld + place] *
         it.x[row * call.in[0].ld + line * call.image[2] + column];
}

__device__ __forceinline__ void conv_weight(const Convolution& call) {
  for_each_element(call.tiling, call.rows, [&](int r, int element) {
    const Tap it = tap_of(call, element);
    Real total = 0;
    for (int place = 0; it.used && place < call.places[1] * call.places[2]; ++place) {
      total += term_of(call, it, r, place);
    }
    row_of<Real>(call.out, r)[element] = total;
  });
}

}  // namespace
}  // namespace cavs::cuda
