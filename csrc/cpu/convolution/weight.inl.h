// "conv_weight" and "conv_weight_reduce", the gradients of weights.
#pragma once

#include "cpu/convolution/forward.inl.h"

namespace cavs {
namespace {

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
  Range* seen;                    // [run] lines of places that see more than the border
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
    seen = memory.take<Range>(forward.stencil.k);
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
      add_runs(length, &run, &tap);
      runs[length] = run - first;
      tiles += (runs[length] + runs_of_tile(length) - 1) / runs_of_tile(length);
    }
  }

  // Adds those of this length of all channels, line by line of the kernel; longer ones are cut.
  void add_runs(int64_t length, int32_t** run, int32_t** tap) const {
    const ConvolutionSizes& s = forward.sizes;
    const int32_t* offset = forward.stencil.offsets;
    for (int64_t begin = 0, end = 1; begin < s.num_taps; begin = end++) {
      while (end < s.num_taps && offset[sorted[end]] == offset[sorted[end - 1]] + 1) ++end;
      const int64_t taps = end - begin, pieces = (taps + kLongestRun - 1) / kLongestRun;
      for (int64_t i = 0; i < pieces; ++i) {
        const int64_t from = begin + first_of(taps, kLongestRun, i);
        if (begin + first_of(taps, kLongestRun, i + 1) - from != length) continue;
        const Range lines = lines_of_taps(from, length);
        for (int64_t c = 0; c < s.channels; ++c) {
          seen[*run - offsets] = lines;
          *(*run)++ = offset[c * s.num_taps + sorted[from]];
          for (int64_t t = from; t < from + length; ++t) {
            *(*tap)++ = static_cast<int32_t>(c * s.num_taps + sorted[t]);
          }
        }
      }
    }
  }

  Range lines_of_taps(int64_t from, int64_t length) const {
    Range lines = {forward.stencil.height, 0};
    for (int64_t t = from; t < from + length; ++t) {
      const ConvolutionSizes& s = forward.sizes;
      lines = hull(lines, seen_by_tap(s.down, s.tap(sorted[t]) / s.across.kernel));
    }
    return lines;
  }

  // The runs of a tile of a group.
  struct Tile {
    int64_t taps, runs, run, tap;  // of each run, how many, and the first of both
    Range lines;
  };
  Tile tile(int64_t number) const {
    int64_t run = 0, tap = 0;
    for (int length = kLongestRun;; --length) {
      const int64_t most = runs_of_tile(length), count = (runs[length] + most - 1) / most;
      if (number < count) {
        const int64_t first = first_of(runs[length], most, number);
        const int64_t few = first_of(runs[length], most, number + 1) - first;
        Range lines = seen[run + first];
        for (int64_t i = 1; i < few; ++i) lines = hull(lines, seen[run + first + i]);
        return {length, few, run + first, tap + first * length, lines};
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
    operands.lines = tile.lines;
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

}  // namespace
}  // namespace cavs
