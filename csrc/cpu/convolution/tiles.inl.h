// The inner loops of convolutions: a tile of sums in registers, of outputs that are read from an image
// through a table of offsets.
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
  int64_t rows = 0, k = 0;
  int64_t height = 0, width = 0, image_width = 0;  // of the outputs; a line of the image
  int32_t* offsets = nullptr;
  T* weight = nullptr;
  bool by_pixels = false;
  int64_t channel = 0, line = 0, pixel = 1;  // how far apart outputs stand
};

// Sums of a tile, row by row of `kPanelColumns` elements.
template <class T>
constexpr int64_t kTileElements = kTileRows * kPanelColumns<T>;

// Rows of the weight by places of the image.
template <int Rows, int Vectors, class T>
void place_tile(int64_t k, const T* a, const T* image, const int32_t* offsets, T* sums) {
  Vec<T> found[Rows][Vectors] = {};
  for (int64_t l = 0; l < k; ++l) {
    Vec<T> line[Vectors];
    for (int j = 0; j < Vectors; ++j) line[j] = load_vector(image + offsets[l] + j * kLanes<T>);
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> element = splat(a[l * Rows + i]);
      for (int j = 0; j < Vectors; ++j) found[i][j] += element * line[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      store_vector<T>(sums + i * kPanelColumns<T> + j * kLanes<T>, found[i][j]);
    }
  }
}

template <int Rows, int Vectors, class T>
void place_tile_of(int64_t rows, int64_t k, const T* a, const T* image, const int32_t* offsets,
                   T* sums) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return place_tile_of<Rows - 1, Vectors>(rows, k, a, image, offsets, sums);
  }
  place_tile<Rows, Vectors>(k, a, image, offsets, sums);
}

// A tile of pixels is one part of a line, or two short lines.
#if defined(__AVX512F__)
constexpr int kMostPixels = 14, kMostLines = 2;
#else
constexpr int kMostPixels = 6, kMostLines = 1;
#endif

// Neighbouring places of the image, in lines `line_step` apart, by rows of the weight.
template <int Lines, int Pixels, int Vectors, class T>
void pixel_tile(int64_t k, const T* panel, const T* image, int64_t line_step,
                const int32_t* offsets, T* sums) {
  Vec<T> found[Lines * Pixels][Vectors] = {};
  for (int64_t l = 0; l < k; ++l) {
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
  for (int i = 0; i < Lines * Pixels; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      store_vector<T>(sums + i * kPanelColumns<T> + j * kLanes<T>, found[i][j]);
    }
  }
}

template <int Lines, int Pixels, int Vectors, class T>
void pixel_tile_of(int64_t pixels, int64_t k, const T* panel, const T* image, int64_t line_step,
                   const int32_t* offsets, T* sums) {
  if constexpr (Pixels > 1) {
    if (pixels < Pixels) {
      return pixel_tile_of<Lines, Pixels - 1, Vectors>(pixels, k, panel, image, line_step, offsets,
                                                       sums);
    }
  }
  pixel_tile<Lines, Pixels, Vectors>(k, panel, image, line_step, offsets, sums);
}

template <int Vectors, class T>
void pixel_tiles(int64_t lines, int64_t pixels, int64_t k, const T* panel, const T* image,
                 int64_t line_step, const int32_t* offsets, T* sums) {
  if constexpr (kMostLines > 1) {
    if (lines > 1) {
      return pixel_tile_of<kMostLines, kMostPixels / kMostLines, Vectors>(
          pixels, k, panel, image, line_step, offsets, sums);
    }
  }
  pixel_tile_of<1, kMostPixels, Vectors>(pixels, k, panel, image, line_step, offsets, sums);
}

// Writes the first `columns` columns of a tile as so many lines of pixels, each in its channel.
template <class T>
void store_columns(const Stencil<T>& s, const T* sums, int64_t lines, int64_t pixels,
                   int64_t columns, T* y) {
  constexpr int64_t length = (kMostPixels + 3) / 4 * 4, width = kPanelColumns<T>;
  alignas(64) T turned[width * length];
  for (int64_t i = 0; i < lines * pixels; i += 4) {
    for (int64_t j = 0; j < columns; j += 4) {
      transpose_4x4(sums + i * width + j, width, turned + j * length + i, length);
    }
  }
  for (int64_t c = 0; c < columns; ++c) {
    const T* from = turned + c * length;
    for (int64_t u = 0; u < lines; ++u, from += pixels) {
      T* target = y + c * s.channel + u * s.line;
      if (s.pixel == 1) {
        int64_t i = 0;
        for (; i + 4 <= pixels; i += 4) __builtin_memcpy(target + i, from + i, 4 * sizeof(T));
        for (; i < pixels; ++i) target[i] = from[i];
      } else {
        for (int64_t i = 0; i < pixels; ++i) target[i * s.pixel] = from[i];
      }
    }
  }
}

template <class T>
void convolve_pixels(const Stencil<T>& s, const T* image, T* y) {
  constexpr int64_t width = kPanelColumns<T>;
  alignas(64) T sums[(kMostPixels + 3) / 4 * 4 * width] = {};
  const int64_t together = s.width * kMostLines <= kMostPixels ? kMostLines : 1;
  const int64_t tiles = (s.width + kMostPixels - 1) / kMostPixels;
  for (int64_t row = 0; row < s.rows; row += width) {
    const int64_t columns = least(width, s.rows - row);
    const T* panel = s.weight + row * s.k;
    for (int64_t oy = 0; oy < s.height; oy += together) {
      const int64_t lines = least(together, s.height - oy);
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t ox = s.width * t / tiles, pixels = s.width * (t + 1) / tiles - ox;
        const T* x = image + oy * s.image_width + ox;
        if (columns > kLanes<T>) {
          pixel_tiles<2>(lines, pixels, s.k, panel, x, s.image_width, s.offsets, sums);
        } else {
          pixel_tiles<1>(lines, pixels, s.k, panel, x, s.image_width, s.offsets, sums);
        }
        store_columns(s, sums, lines, pixels, columns,
                      y + row * s.channel + oy * s.line + ox * s.pixel);
      }
    }
  }
}

// Writes `n` outputs from place p on, of each of `rows` rows of a tile: runs within one line.
template <class T>
void store_places(const Stencil<T>& s, const T* sums, int64_t rows, int64_t p, int64_t n, T* y) {
  for (int64_t q = 0; q < n;) {
    const int64_t oy = (p + q) / s.image_width, ox = (p + q) % s.image_width;
    const int64_t run = least(s.image_width - ox, n - q), use = least(s.width - ox, run);
    for (int64_t i = 0; use > 0 && i < rows; ++i) {
      T* target = y + i * s.channel + oy * s.line + ox * s.pixel;
      const T* source = sums + i * kPanelColumns<T> + q;
      if (s.pixel == 1) {
        copy_row(target, source, use);
      } else {
        for (int64_t v = 0; v < use; ++v) target[v * s.pixel] = source[v];
      }
    }
    q += run;
  }
}

// Rows of a weight are cut into tiles of nearly equal size, of which this is the first row.
CAVS_INLINE int64_t row_of_tile(int64_t rows, int64_t tile) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  return rows / tiles * tile + least(tile, rows % tiles);
}

template <class T>
void convolve_places(const Stencil<T>& s, const T* image, T* y) {
  alignas(64) T sums[kTileElements<T>];
  const int64_t places = (s.height - 1) * s.image_width + s.width;
  const int64_t tiles = (s.rows + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < places; p += kPanelColumns<T>) {
    const int64_t n = least(kPanelColumns<T>, places - p);
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = row_of_tile(s.rows, t), few = row_of_tile(s.rows, t + 1) - row;
      const T* a = s.weight + row * s.k;
      if (n > kLanes<T>) {
        place_tile_of<kTileRows, 2>(few, s.k, a, image + p, s.offsets, sums);
      } else {
        place_tile_of<kTileRows, 1>(few, s.k, a, image + p, s.offsets, sums);
      }
      store_places(s, sums, few, p, n, y + row * s.channel);
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

// dw[l, column] += sum over the places of an image, line by line; dy stands in a panel, place by
// place.
template <int Rows, int Vectors, class T>
void weight_tile(const Stencil<T>& s, int64_t images, int64_t image_step, const T* image,
                 const int32_t* offsets, const T* dy, int64_t dy_step, T* dw, int64_t dw_row) {
  Vec<T> sums[Rows][Vectors] = {};
  for (int64_t r = 0; r < images; ++r) {
    const T* first = image + r * image_step;
    const T* column = dy + r * dy_step;
    for (int64_t oy = 0; oy < s.height; ++oy, first += s.image_width) {
      const T* x = first;
      for (int64_t ox = 0; ox < s.width; ++ox, ++x, column += kPanelColumns<T>) {
        Vec<T> line[Vectors];
        for (int j = 0; j < Vectors; ++j) line[j] = load_vector(column + j * kLanes<T>);
        for (int i = 0; i < Rows; ++i) {
          const Vec<T> element = splat(x[offsets[i]]);
          for (int j = 0; j < Vectors; ++j) sums[i][j] += element * line[j];
        }
      }
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      T* target = dw + i * dw_row + j * kLanes<T>;
      store_vector<T>(target, load_vector(target) + sums[i][j]);
    }
  }
}

template <int Rows, int Vectors, class T>
void weight_tile_of(int64_t rows, const Stencil<T>& s, int64_t images, int64_t image_step,
                    const T* image, const int32_t* offsets, const T* dy, int64_t dy_step, T* dw,
                    int64_t dw_row) {
  if constexpr (Rows > 1) {
    if (rows < Rows) {
      return weight_tile_of<Rows - 1, Vectors>(rows, s, images, image_step, image, offsets, dy,
                                               dy_step, dw, dw_row);
    }
  }
  weight_tile<Rows, Vectors>(s, images, image_step, image, offsets, dy, dy_step, dw, dw_row);
}

}  // namespace
}  // namespace cavs
