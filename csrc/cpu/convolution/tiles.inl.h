// The inner loops of convolutions: a tile of sums in registers, of outputs that are read from an
// image through a table of offsets.
//
// Tap (c, i, j) of an output is at a fixed offset from the output's place in the image, so that a
// convolution is a product whose one factor is read through these offsets, and nothing is copied
// for each tap.
#pragma once

#include "cpu/kernels/packed_product.inl.h"

namespace cavs {
namespace {

// One convolution of an image: y[row, place] = sum over l of a[row, l] image[offsets[l] + place].
// Where `by_pixels`, lanes of vectors are rows, else places. The weight stands in panels of so many
// rows as a tile takes, (l, rows) each.
template <class T>
struct Stencil {
  int64_t rows = 0, k = 0, taps = 0;               // the terms l are (k / taps, taps)
  int64_t height = 0, width = 0, image_width = 0;  // of the outputs; a line of the image
  int32_t* offsets = nullptr;
  int32_t* seen = nullptr;  // [line][2] the first tap and the end of those that see the image
  const T* weight = nullptr;
  bool by_pixels = false;
  int64_t channel = 0, line = 0, pixel = 1;  // how far apart outputs stand
};

// The terms l = m * step + first + t, m < outer, t < count.
struct Terms {
  int64_t outer, step, first, count;
};

// Those of some lines of outputs; where taps see the border alone they are left out.
template <class T>
CAVS_INLINE Terms terms_of(const Stencil<T>& s, int64_t line, int64_t lines) {
  int64_t first = s.seen[2 * line], end = s.seen[2 * line + 1];
  for (int64_t i = line + 1; i < line + lines; ++i) {
    first = least(first, s.seen[2 * i]);
    end = greatest(end, s.seen[2 * i + 1]);
  }
  if (end - first == s.taps) return {1, 0, 0, s.k};
  return {end > first ? s.k / s.taps : 0, s.taps, first, end - first};
}

// Notes that tap t of a stencil sees the image from lines [begin, end); taps are noted in their
// order.
template <class T>
CAVS_INLINE void note_seen(const Stencil<T>& s, int64_t t, int64_t begin, int64_t end) {
  for (int64_t i = greatest(begin, 0); i < least(end, s.height); ++i) {
    if (s.seen[2 * i + 1] == 0) s.seen[2 * i] = static_cast<int32_t>(t);
    s.seen[2 * i + 1] = static_cast<int32_t>(t + 1);
  }
}

// Copies a short line in pieces, of which the last may overlap the one before.
template <class T>
CAVS_INLINE void store_line(T* target, const T* line, int64_t n) {
  int64_t i = 0;
  if (n >= 8) {
    for (; i + 8 <= n; i += 8) __builtin_memcpy(target + i, line + i, 8 * sizeof(T));
    if (i < n) __builtin_memcpy(target + n - 8, line + n - 8, 8 * sizeof(T));
  } else if (n >= 4) {
    __builtin_memcpy(target, line, 4 * sizeof(T));
    __builtin_memcpy(target + n - 4, line + n - 4, 4 * sizeof(T));
  } else {
    for (; i < n; ++i) target[i] = line[i];
  }
}

// Asks for the memory of a line of `n` outputs ahead of its stores, which would wait for it one by
// one and hold up the sums after them.
template <class T>
CAVS_INLINE void expect_line(const T* target, int64_t n) {
  __builtin_prefetch(target, 1);
  __builtin_prefetch(target + n - 1, 1);
}

// So many places as a vector has lanes, in one line: where they stand in the image, where they go,
// and how many of them there are, if a line is shorter.
struct Slot {
  int64_t place = 0, target = 0, lanes = 0;
};

// Rows of the weight by places of the image, which `slots` name. The outputs of the tile after it
// begin at `next`.
template <int Rows, int Vectors, class T>
void place_tile(const Stencil<T>& s, const Terms& terms, const T* a, const T* image,
                const Slot* slots, T* y, const T* next) {
  Vec<T> found[Rows][Vectors] = {};
  if constexpr (Rows > 2) {  // a few lines are followed by the machine itself
    for (int i = 0; i < Rows; ++i) expect_line(next + i * s.channel, kLanes<T> + 1);
  }
  for (int64_t m = 0; m < terms.outer; ++m) {
    const int64_t begin = m * terms.step + terms.first;
    for (int64_t l = begin; l < begin + terms.count; ++l) {
      const T* x = image + s.offsets[l];
      Vec<T> line[Vectors];
      for (int j = 0; j < Vectors; ++j) line[j] = load_vector(x + slots[j].place);
      for (int i = 0; i < Rows; ++i) {
        const Vec<T> element = splat(a[l * Rows + i]);
        for (int j = 0; j < Vectors; ++j) found[i][j] += element * line[j];
      }
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      T* target = y + i * s.channel + slots[j].target;
      if (s.pixel == 1 && slots[j].lanes == kLanes<T>) {
        store_vector<T>(target, found[i][j]);
        continue;
      }
      alignas(64) T lanes[kLanes<T> + 8];
      store_vector<T>(lanes, found[i][j]);
      if (s.pixel == 1) {
        store_line(target, lanes, slots[j].lanes);
      } else {
        const int64_t count = least(slots[j].lanes, kLanes<T>);
        for (int64_t v = 0; v < count; ++v) target[v * s.pixel] = lanes[v];
      }
    }
  }
}

template <int Rows, int Vectors, class T>
void place_tile_of(int64_t rows, const Stencil<T>& s, const Terms& terms, const T* a,
                   const T* image, const Slot* slots, T* y, const T* next) {
  if constexpr (Rows > 1) {
    if (rows < Rows)
      return place_tile_of<Rows - 1, Vectors>(rows, s, terms, a, image, slots, y, next);
  }
  place_tile<Rows, Vectors>(s, terms, a, image, slots, y, next);
}

// The slots of a line. The last one of a long line overlaps the one before.
template <class T>
int64_t slots_of_line(const Stencil<T>& s) {
  return (s.width + kLanes<T> - 1) / kLanes<T>;
}

template <class T>
Slot slot_of(const Stencil<T>& s, int64_t number) {
  const int64_t each = slots_of_line(s), oy = number / each;
  const int64_t ox = least(number % each * kLanes<T>, greatest(0, s.width - kLanes<T>));
  return {oy * s.image_width + ox, oy * s.line + ox * s.pixel, least(s.width, kLanes<T>)};
}

// `count` things are cut into parts of at most `most`, and of nearly equal size: the first thing of
// a part.
CAVS_INLINE int64_t first_of(int64_t count, int64_t most, int64_t part) {
  const int64_t parts = (count + most - 1) / most;
  return count / parts * part + least(part, count % parts);
}

template <class T>
void convolve_places(const Stencil<T>& s, const T* image, T* y) {
  const int64_t slots = s.height * slots_of_line(s);
  const int64_t tiles = (s.rows + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < slots; p += 2) {
    const Slot two[2] = {slot_of(s, p), slot_of(s, least(p + 1, slots - 1))};
    const int64_t each = slots_of_line(s), line = p / each;
    const Terms terms = terms_of(s, line, least(p + 1, slots - 1) / each - line + 1);
    const int64_t ahead = slot_of(s, least(p + 2, slots - 1)).target;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = first_of(s.rows, kTileRows, t);
      const int64_t few = first_of(s.rows, kTileRows, t + 1) - row;
      const T* a = s.weight + row * s.k;
      T* target = y + row * s.channel;
      if (p + 1 < slots) {
        place_tile_of<kTileRows, 2>(few, s, terms, a, image, two, target, target + ahead);
      } else {
        place_tile_of<kTileRows, 1>(few, s, terms, a, image, two, target, target + ahead);
      }
    }
  }
}

// A tile of pixels is one part of a line, or two lines that are too short to hide the latency of
// sums.
#if defined(__AVX512F__)
constexpr int kMostPixels = 14, kMostLines = 2, kShortLine = 6;
#else
constexpr int kMostPixels = 6, kMostLines = 1, kShortLine = 0;
#endif

// Neighbouring places of the image, in lines `line_step` apart, by rows of the weight.
template <int Lines, int Pixels, int Vectors, class T>
void pixel_tile(const Terms& terms, const T* panel, const T* image, int64_t line_step,
                const int32_t* offsets, T* sums) {
  Vec<T> found[Lines * Pixels][Vectors] = {};
  for (int64_t m = 0; m < terms.outer; ++m) {
    const int64_t begin = m * terms.step + terms.first;
    for (int64_t l = begin; l < begin + terms.count; ++l) {
      Vec<T> line[Vectors];
      for (int j = 0; j < Vectors; ++j) {
        line[j] = load_vector(panel + l * kPanelColumns<T> + j * kLanes<T>);
      }
      const T* x = image + offsets[l];
      for (int u = 0; u < Lines; ++u, x += line_step) {
        for (int i = 0; i < Pixels; ++i) {
          const Vec<T> element = splat(x[i]);
          for (int j = 0; j < Vectors; ++j) found[u * Pixels + i][j] += element * line[j];
        }
      }
    }
  }
  for (int i = 0; i < Lines * Pixels; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      store_vector<T>(sums + i * kPanelColumns<T> + j * kLanes<T>, found[i][j]);
    }
  }
}

template <int Lines, int Pixels, int Vectors, class T>
void pixel_tile_of(int64_t pixels, const Terms& terms, const T* panel, const T* image,
                   int64_t line_step, const int32_t* offsets, T* sums) {
  if constexpr (Pixels > 1) {
    if (pixels < Pixels) {
      return pixel_tile_of<Lines, Pixels - 1, Vectors>(pixels, terms, panel, image, line_step,
                                                       offsets, sums);
    }
  }
  pixel_tile<Lines, Pixels, Vectors>(terms, panel, image, line_step, offsets, sums);
}

template <int Vectors, class T>
void pixel_tiles(int64_t lines, int64_t pixels, const Terms& terms, const T* panel, const T* image,
                 int64_t line_step, const int32_t* offsets, T* sums) {
  if constexpr (kMostLines > 1) {
    if (lines > 1) {
      return pixel_tile_of<kMostLines, kShortLine, Vectors>(pixels, terms, panel, image, line_step,
                                                            offsets, sums);
    }
  }
  pixel_tile_of<1, kMostPixels, Vectors>(pixels, terms, panel, image, line_step, offsets, sums);
}

// Whole lines of pixels stand together where they do so in the result: how many pixels follow one
// another.
template <class T>
CAVS_INLINE int64_t run_of_pixels(const Stencil<T>& s, int64_t lines, int64_t pixels) {
  return s.pixel == 1 && s.line == pixels ? lines * pixels : pixels;
}

template <class T>
CAVS_INLINE void expect_columns(const Stencil<T>& s, int64_t lines, int64_t pixels, int64_t columns,
                                const T* y) {
  const int64_t run = run_of_pixels(s, lines, pixels);
  for (int64_t c = 0; c < columns; ++c, y += s.channel) {
    const T* target = y;
    for (int64_t i = 0; i < lines * pixels; i += run, target += s.line) {
      expect_line(target, (run - 1) * s.pixel + 1);
    }
  }
}

// Writes the first `columns` columns of a tile as so many lines of pixels, each in its channel.
// Blocks of 4 x 4 are turned round; the last ones overlap those before.
template <class T>
void store_columns(const Stencil<T>& s, const T* sums, int64_t lines, int64_t pixels,
                   int64_t columns, T* y) {
  constexpr int64_t width = kPanelColumns<T>;
  const int64_t run = run_of_pixels(s, lines, pixels);
  for (int64_t line = 0; line < lines * pixels; line += run, sums += run * width, y += s.line) {
    if (s.pixel == 1 && run >= 4 && columns >= 4) {
      for (int64_t j = 0; j < columns; j += 4) {
        const int64_t c = least(j, columns - 4);
        const T* from = sums + c;
        T* target = y + c * s.channel;
        for (int64_t i = 0; i < run; i += 4) {
          const int64_t at = least(i, run - 4);
          transpose_4x4(from + at * width, width, target + at, s.channel);
        }
      }
      continue;
    }
    for (int64_t c = 0; c < columns; ++c) {
      T* target = y + c * s.channel;
      for (int64_t v = 0; v < run; ++v) target[v * s.pixel] = sums[v * width + c];
    }
  }
}

template <class T>
void convolve_pixels(const Stencil<T>& s, const T* image, T* y) {
  constexpr int64_t width = kPanelColumns<T>;
  alignas(64) T sums[(kMostPixels + 3) / 4 * 4 * width] = {};
  const int64_t together = s.width <= kShortLine ? kMostLines : 1;
  const int64_t tiles = (s.width + kMostPixels - 1) / kMostPixels;
  for (int64_t row = 0; row < s.rows; row += width) {
    const int64_t columns = least(width, s.rows - row);
    const T* panel = s.weight + row * s.k;
    for (int64_t oy = 0; oy < s.height; oy += together) {
      const int64_t lines = least(together, s.height - oy);
      const Terms terms = terms_of(s, oy, lines);
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t ox = s.width * t / tiles, pixels = s.width * (t + 1) / tiles - ox;
        const T* x = image + oy * s.image_width + ox;
        T* target = y + row * s.channel + oy * s.line + ox * s.pixel;
        expect_columns(s, lines, pixels, columns, target);
        if (columns > kLanes<T>) {
          pixel_tiles<2>(lines, pixels, terms, panel, x, s.image_width, s.offsets, sums);
        } else {
          pixel_tiles<1>(lines, pixels, terms, panel, x, s.image_width, s.offsets, sums);
        }
        store_columns(s, sums, lines, pixels, columns, target);
      }
    }
  }
}

template <class T>
CAVS_INLINE void convolve(const Stencil<T>& s, const T* image, T* y) {
  if (s.by_pixels) {
    convolve_pixels(s, image, y);
  } else {
    convolve_places(s, image, y);
  }
}

// Taps whose pixels are neighbours in the image are a run.
constexpr int kLongestRun = 5;
constexpr int runs_of_tile(int run) { return kTileRows / run; }

// Images, one after the other, and their places: panels of so many outputs as a tile takes, place
// by place.
template <class T>
struct WeightOperands {
  int64_t images = 0;
  const T* image = nullptr;
  int64_t image_step = 0;
  const T* dy = nullptr;
  int64_t dy_step = 0;
  Range lines = {0, 0};  // of places that see more than the border
};

// dw[l, output] += the sum over all places, for the taps l of some runs, which begin at `offsets`.
template <int Runs, int Taps, int Vectors, class T>
void weight_tile(const Stencil<T>& s, const WeightOperands<T>& operands, const int32_t* offsets,
                 T* dw, int64_t dw_row) {
  Vec<T> sums[Runs * Taps][Vectors] = {};
  for (int64_t r = 0; r < operands.images; ++r) {
    const Range& lines = operands.lines;
    const T* line = operands.image + r * operands.image_step + lines.begin * s.image_width;
    const T* column = operands.dy + r * operands.dy_step + lines.begin * s.width * kPanelColumns<T>;
    for (int64_t oy = lines.begin; oy < lines.end; ++oy, line += s.image_width) {
      const T* x[Runs];
      for (int u = 0; u < Runs; ++u) x[u] = line + offsets[u];
      for (int64_t ox = 0; ox < s.width; ++ox, column += kPanelColumns<T>) {
        Vec<T> dy[Vectors];
        for (int j = 0; j < Vectors; ++j) dy[j] = load_vector(column + j * kLanes<T>);
        for (int u = 0; u < Runs; ++u) {
          for (int i = 0; i < Taps; ++i) {
            const Vec<T> element = splat(x[u][ox + i]);
            for (int j = 0; j < Vectors; ++j) sums[u * Taps + i][j] += element * dy[j];
          }
        }
      }
    }
  }
  for (int i = 0; i < Runs * Taps; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      T* target = dw + i * dw_row + j * kLanes<T>;
      store_vector<T>(target, load_vector(target) + sums[i][j]);
    }
  }
}

template <int Runs, int Taps, int Vectors, class T>
void weight_tile_of(int64_t runs, const Stencil<T>& s, const WeightOperands<T>& operands,
                    const int32_t* offsets, T* dw, int64_t dw_row) {
  if constexpr (Runs > 1) {
    if (runs < Runs) {
      return weight_tile_of<Runs - 1, Taps, Vectors>(runs, s, operands, offsets, dw, dw_row);
    }
  }
  weight_tile<Runs, Taps, Vectors>(s, operands, offsets, dw, dw_row);
}

// `runs` runs of `taps` taps each.
template <int Taps, int Vectors, class T>
void weight_tiles(int64_t taps, int64_t runs, const Stencil<T>& s,
                  const WeightOperands<T>& operands, const int32_t* offsets, T* dw,
                  int64_t dw_row) {
  if constexpr (Taps > 1) {
    if (taps < Taps) {
      return weight_tiles<Taps - 1, Vectors>(taps, runs, s, operands, offsets, dw, dw_row);
    }
  }
  weight_tile_of<runs_of_tile(Taps), Taps, Vectors>(runs, s, operands, offsets, dw, dw_row);
}

}  // namespace
}  // namespace cavs
