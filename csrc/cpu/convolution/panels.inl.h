// The weights of convolutions in panels, and which way a convolution goes.
#pragma once

#include "cpu/convolution/images.inl.h"
#include "cpu/convolution/tiles.inl.h"

namespace cavs {
namespace {

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

// The panels of the weight of row r, which serve all rows where it has none.
template <class T, class Pack>
CAVS_INLINE const T* panels_for(const KernelCall& call, int64_t r, T* own, Pack pack) {
  const Operand& w = call.in[1];
  if (w.packed != nullptr) return static_cast<const T*>(w.packed);
  if (r == call.row_begin || w.ld != 0) pack(row_of<T>(w, r), own);
  return own;
}

}  // namespace
}  // namespace cavs
