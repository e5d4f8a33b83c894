// Products of rows with a weight that stands in panels: the weight is packed once and then used by
// every level, so that a product of few rows costs no packing.
#pragma once

#include "cpu/isa_table.h"
#include "cpu/kernels/rows.inl.h"
#include "cpu/kernels/small_product.inl.h"

namespace cavs {
namespace {

// A tile of C is kTileRows x kTileVectors vectors of sums in registers, beside a row of B and an
// element of A.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif
constexpr int kTileVectors = 2;

template <class T>
constexpr int64_t kPanelColumns = kTileVectors * kLanes<T>;

// Most rows of B that one pass sums over: its part of a panel stays in the L1 cache.
constexpr int64_t kPassRows = 512;
constexpr int64_t kBlockBytes = 96 * 1024;  // of A

// Measured: so many rows of B, at the most so long, stay in the L2 cache while they are read in
// place, and are found there: the steps from one to the next leave the caches' lines and pages
// free.
template <class T>
constexpr int64_t kShortRow = 2048 / static_cast<int64_t>(sizeof(T));

template <class T>
CAVS_INLINE void transpose_4x4(const T* source, int64_t row, T* target, int64_t column) {
  typedef T Four __attribute__((vector_size(4 * sizeof(T))));
  typedef T Loose __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
  const Four a = *reinterpret_cast<const Loose*>(source);
  const Four b = *reinterpret_cast<const Loose*>(source + row);
  const Four c = *reinterpret_cast<const Loose*>(source + 2 * row);
  const Four d = *reinterpret_cast<const Loose*>(source + 3 * row);
  const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Four ef = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Four rows[4] = {
      __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
      __builtin_shufflevector(ef, gh, 0, 1, 4, 5), __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) *reinterpret_cast<Loose*>(target + i * column) = rows[i];
}

// Packs columns that stand contiguously along k, `step` elements apart, into rows of `width`
// elements, of which `columns` are written.
template <class T>
CAVS_INLINE void pack_transposed(const T* b, int64_t step, int64_t k, int64_t columns, T* panel,
                                 int64_t width) {
  const int64_t whole = columns / 4 * 4, blocks = k / 4 * 4;
  for (int64_t i = 0; i < blocks; i += 4) {
    for (int64_t j = 0; j < whole; j += 4) {
      transpose_4x4(b + j * step + i, step, panel + i * width + j, width);
    }
  }
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = j < whole ? blocks : 0; i < k; ++i) panel[i * width + j] = b[j * step + i];
  }
}

// So many panels are packed together, row by row, so that B is read in its own order. To pack one
// panel after the other would read each of its lines twice.
constexpr int64_t kPanelsTogether = 64;

// Packs columns [first, end) of B, whose rows stand contiguously, `step` elements apart.
template <class T>
void pack_rows(const T* b, int64_t step, int64_t k, int64_t first, int64_t end, T* panels) {
  constexpr int64_t width = kPanelColumns<T>;
  const int64_t whole = first + (end - first) / width * width;
  for (int64_t i = 0; i < k; ++i) {
    const T* row = b + i * step;
    T* line = panels + first * k + i * width;
    for (int64_t j = first; j < whole; j += width) {
      copy_row(line, row + j, width);
      line += width * k;
    }
    if (whole == end) continue;
    copy_row(line, row + whole, end - whole);
    for (int64_t j = end - whole; j < width; ++j) line[j] = 0;
  }
}

template <class T>
void pack_weight(const WeightPanels<T>& w) {
  constexpr int64_t width = kPanelColumns<T>;
  if (w.b_column == 1) {
    for (int64_t p = w.panel_begin; p < w.panel_end; p += kPanelsTogether) {
      const int64_t end = least(p + kPanelsTogether, w.panel_end);
      pack_rows(w.b, w.b_row, w.k, p * width, least(end * width, w.n), w.panels);
    }
    return;
  }
  for (int64_t p = w.panel_begin; p < w.panel_end; ++p) {
    T* panel = w.panels + p * width * w.k;
    const int64_t columns = least(width, w.n - p * width);
    if (columns < width) fill_row(panel, T(0), width * w.k);
    pack_transposed(w.b + p * width * w.b_column, w.b_column, w.k, columns, panel, width);
  }
}

// Computes `Rows` rows and `Panels` panels of C, or the first `Vectors` vectors of one panel.
template <int Rows, int Panels, int Vectors, class T>
void packed_tile(const PackedProduct<T>& p, int64_t row, int64_t panel, int64_t first,
                 int64_t last) {
  constexpr int64_t width = kPanelColumns<T>;
  static_assert(Panels == 1 || Vectors == kTileVectors);
  Vec<T> sums[Rows][Panels * Vectors] = {};
  const T* a = p.a + row * p.a_row;
  const T* b = p.panels + panel * p.panel_step;
  for (int64_t k = first; k < last; ++k) {
    Vec<T> line[Panels * Vectors];
    for (int j = 0; j < Panels * Vectors; ++j) {
      line[j] = load_vector(b + j / kTileVectors * p.panel_step + k * p.panel_row +
                            j % kTileVectors * kLanes<T>);
    }
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> element = splat(a[i * p.a_row + k]);
      for (int j = 0; j < Panels * Vectors; ++j) sums[i][j] += element * line[j];
    }
  }
  const bool add = first > 0 || p.accumulate;
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Panels * Vectors; ++j) {
      const int64_t column = panel * width + j * kLanes<T>;
      T* c = p.c + (row + i) * p.c_row + column;
      if (column + kLanes<T> <= p.c_columns) {
        store_vector<T>(c, add ? load_vector(c) + sums[i][j] : sums[i][j]);
      } else if (column < p.n) {
        for (int64_t l = 0; l < p.n - column; ++l)
          c[l] = add ? c[l] + sums[i][j][l] : sums[i][j][l];
      }
    }
  }
}

// For rows that are too few for a whole tile: takes several panels at once, so that there are
// enough sums to hide the latency of each.
template <int Rows, class T>
void packed_rest(const PackedProduct<T>& p, int64_t row, int64_t first, int64_t last) {
  constexpr int panels = Rows == 1 ? 4 : Rows == 2 ? 3 : Rows == 3 ? 2 : 1;
  int64_t panel = p.panel_begin;
  for (; panel + panels <= p.panel_end; panel += panels) {
    packed_tile<Rows, panels, kTileVectors>(p, row, panel, first, last);
  }
  for (; panel < p.panel_end; ++panel) {
    packed_tile<Rows, 1, kTileVectors>(p, row, panel, first, last);
  }
}

template <int Rows, class T>
void packed_rows(const PackedProduct<T>& p, int64_t rows, int64_t row, int64_t first,
                 int64_t last) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return packed_rest<Rows>(p, row, first, last);
    packed_rows<Rows - 1>(p, rows, row, first, last);
  }
}

template <int Rows, int Vectors, class T>
CAVS_INLINE void tile_of_rows(const PackedProduct<T>& p, int64_t rows, int64_t row, int64_t panel,
                              int64_t first, int64_t last) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return packed_tile<Rows, 1, Vectors>(p, row, panel, first, last);
    tile_of_rows<Rows - 1, Vectors>(p, rows, row, panel, first, last);
  }
}

// Rows [begin, begin + rows) of a panel, divided evenly among tiles of at most `Rows` rows.
template <int Rows, int Vectors, class T>
void packed_panel(const PackedProduct<T>& p, int64_t begin, int64_t rows, int64_t panel,
                  int64_t first, int64_t last) {
  const int64_t tiles = (rows + Rows - 1) / Rows;
  const int64_t fewest = rows / tiles, larger = rows % tiles;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t count = fewest + (tile < larger ? 1 : 0);
    tile_of_rows<Rows, Vectors>(p, count, begin, panel, first, last);
    begin += count;
  }
}

// A block of A's rows stays in the cache while each panel passes by once. No rows are left over,
// for which a weight larger than the cache would pass by again. A last panel of few columns has
// tiles of one vector and twice as many rows.
template <class T>
void packed_tiles(const PackedProduct<T>& p, int64_t first, int64_t last) {
  const int64_t fitting = kBlockBytes / static_cast<int64_t>(sizeof(T)) / greatest(last - first, 1);
  const int64_t block = greatest(fitting / kTileRows, 4) * kTileRows;
  for (int64_t begin = 0; begin < p.m; begin += block) {
    const int64_t rows = least(block, p.m - begin);
    for (int64_t panel = p.panel_begin; panel < p.panel_end; ++panel) {
      if (p.n - panel * kPanelColumns<T> > kLanes<T>) {
        packed_panel<kTileRows, kTileVectors>(p, begin, rows, panel, first, last);
      } else {
        packed_panel<2 * kTileRows, 1>(p, begin, rows, panel, first, last);
      }
    }
  }
}

// Multiplies a few rows of A with B in place, row by row.
template <class T>
void product_in_place(const PackedProduct<T>& p) {
  const int64_t begin = p.panel_begin * kPanelColumns<T>;
  const int64_t end = least(p.n, p.panel_end * kPanelColumns<T>);
  if (begin >= end) return;
  for (int64_t first = 0; first == 0 || first < p.k; first += kPassRows) {
    const int64_t last = least(first + kPassRows, p.k);
    small_product(SmallProduct<T>{p.m, end - begin, last - first, p.a + first, p.a_row, 1,
                                  p.b + first * p.b_row + begin, p.b_row, 1, p.c + begin, p.c_row,
                                  p.accumulate || first > 0});
  }
}

// For sums that are too short to be worth panels: writes the rows of C one after the other.
template <class T>
void product_of_short_sums(const PackedProduct<T>& p) {
  if (p.b_column == 1) return product_in_place(p);
  constexpr int64_t size = kPassRows * kPanelColumns<T>, unit = 4 * kLanes<T>;
  alignas(64) T rows[size];
  const int64_t begin = p.panel_begin * kPanelColumns<T>;
  const int64_t end = least(p.n, p.panel_end * kPanelColumns<T>);
  const int64_t block = size / p.k / unit * unit;
  for (int64_t column = begin; column < end; column += block) {
    const int64_t columns = least(block, end - column);
    pack_transposed(p.b + column * p.b_column, p.b_column, p.k, columns, rows, columns);
    small_product(SmallProduct<T>{p.m, columns, p.k, p.a, p.a_row, 1, rows, columns, 1,
                                  p.c + column, p.c_row, p.accumulate});
  }
}

template <class T>
void product_with_panels(const PackedProduct<T>& p) {
  for (int64_t first = 0; first == 0 || first < p.k; first += kPassRows) {  // once for k = 0 too
    const int64_t last = least(first + kPassRows, p.k);
    if (p.m < kTileRows) {
      packed_rows<kTileRows - 1>(p, p.m, 0, first, last);
    } else {
      packed_tiles(p, first, last);
    }
  }
}

// Each part of a panel is packed when its turn comes, and stays in the cache until it is used.
template <class T>
void packing_product(const PackedProduct<T>& p) {
  constexpr int64_t width = kPanelColumns<T>;
  alignas(64) T panel[kPassRows * width];
  for (int64_t number = p.panel_begin; number < p.panel_end; ++number) {
    const int64_t column = number * width;
    PackedProduct<T> part = p;
    part.n = p.n - column;
    part.c = p.c + column;
    part.c_columns = p.c_columns - column;
    part.panels = panel;
    part.panel_row = width;
    part.panel_begin = 0;
    part.panel_end = 1;
    for (int64_t first = 0; first == 0 || first < p.k; first += kPassRows) {
      part.k = least(kPassRows, p.k - first);
      part.a = p.a + first;
      part.accumulate = p.accumulate || first > 0;
      pack_weight(WeightPanels<T>{least(width, part.n), part.k,
                                  p.b + first * p.b_row + column * p.b_column, p.b_row, p.b_column,
                                  panel, 0, 1});
      product_with_panels(part);
    }
  }
}

// B's rows are short: its columns are read in place, as panels that stand side by side. The last
// ones, which are no whole panel, are packed.
template <class T>
void product_of_short_rows(const PackedProduct<T>& p) {
  PackedProduct<T> whole = p, rest = p;
  whole.panel_end = rest.panel_begin =
      greatest(p.panel_begin, least(p.panel_end, p.n / kPanelColumns<T>));
  whole.panels = p.b;
  whole.panel_step = kPanelColumns<T>;
  whole.panel_row = p.b_row;
  product_with_panels(whole);
  packing_product(rest);
}

// Adds, or puts, a tile of sums, line by line of B, to the columns of C, row by row.
template <int Lines, int Vectors, class T>
CAVS_INLINE void store_lines(const Vec<T> (&sums)[Lines][Vectors], int64_t rows, bool add, T* c,
                             int64_t c_row) {
  constexpr int64_t width = Vectors * kLanes<T>, length = (Lines + 3) / 4 * 4;
  if constexpr (width % 4 != 0) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int i = 0; i < Lines; ++i) {
        put(c + row * c_row + i, sums[i][row / kLanes<T>][row % kLanes<T>], add);
      }
    }
    return;
  }
  alignas(64) T lines[length * width], turned[width * length];
  for (int i = 0; i < Lines; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      store_vector<T>(lines + i * width + j * kLanes<T>, sums[i][j]);
    }
  }
  for (int64_t i = Lines * width; i < length * width; ++i) lines[i] = 0;
  for (int64_t i = 0; i < length; i += 4) {
    for (int64_t j = 0; j < width; j += 4) {
      transpose_4x4(lines + i * width + j, width, turned + j * length + i, length);
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    const T* from = turned + row * length;
    T* to = c + row * c_row;
    for (int i = 0; i < Lines; ++i) to[i] = add ? to[i] + from[i] : from[i];
  }
}

// Multiplies `Lines` lines of B, from `b` on, with rows of A that stand in a panel, (k, width).
template <int Lines, int Vectors, class T>
void lines_tile(const PackedProduct<T>& p, const T* b, const T* panel, int64_t rows, T* c) {
  constexpr int64_t width = kPanelColumns<T>, element = 64 / sizeof(T);
  Vec<T> sums[Lines][Vectors] = {};
  const T* next = b + Lines * p.b_column;
  for (int64_t k = 0; k < p.k; ++k) {
    // The next tile's lines stand behind these. Each is as long, and so is the loop.
    if (k % element < Lines)
      __builtin_prefetch(next + k % element * p.b_column + k / element * element);
    Vec<T> line[Vectors];
    for (int j = 0; j < Vectors; ++j) line[j] = load_vector(panel + k * width + j * kLanes<T>);
    for (int i = 0; i < Lines; ++i) {
      const Vec<T> value = splat(b[i * p.b_column + k]);
      for (int j = 0; j < Vectors; ++j) sums[i][j] += value * line[j];
    }
  }
  store_lines<Lines, Vectors>(sums, rows, p.accumulate, c, p.c_row);
}

template <int Lines, int Vectors, class T>
CAVS_INLINE void tile_of_lines(const PackedProduct<T>& p, int64_t count, const T* b, const T* panel,
                               int64_t rows, T* c) {
  if constexpr (Lines > 0) {
    if (count == Lines) return lines_tile<Lines, Vectors>(p, b, panel, rows, c);
    tile_of_lines<Lines - 1, Vectors>(p, count, b, panel, rows, c);
  }
}

// B's columns stand contiguously along k: they are read in place, as rows of the product
// C^T = B^T A^T, and rows of A are packed in their stead. The terms of each sum and their order are
// those of a product with panels.
template <class T>
void product_of_lines(const PackedProduct<T>& p) {
  constexpr int64_t width = kPanelColumns<T>;
  alignas(64) T panel[kPassRows * width];
  const int64_t begin = p.panel_begin * width, end = least(p.n, p.panel_end * width);
  for (int64_t row = 0; row < p.m; row += width) {
    const int64_t rows = least(width, p.m - row);
    if (rows < width) fill_row(panel, T(0), width * least(kPassRows, p.k));
    PackedProduct<T> part = p;
    for (int64_t first = 0; first == 0 || first < p.k; first += kPassRows) {
      part.k = least(kPassRows, p.k - first);
      part.accumulate = p.accumulate || first > 0;
      pack_transposed(p.a + row * p.a_row + first, p.a_row, part.k, rows, panel, width);
      for (int64_t column = begin; column < end; column += kTileRows) {
        const int64_t count = least(kTileRows, end - column);
        const T* b = p.b + first + column * p.b_column;
        T* c = p.c + row * p.c_row + column;
        if (rows > kLanes<T>) {
          tile_of_lines<kTileRows, kTileVectors>(part, count, b, panel, rows, c);
        } else {
          tile_of_lines<kTileRows, 1>(part, count, b, panel, rows, c);
        }
      }
    }
  }
}

template <class T>
void packed_product(const PackedProduct<T>& p) {
  if (p.panels == nullptr) {
    // Measured: to read B for each of so few rows is as fast as to pack it.
    constexpr int64_t few = 11, very_few = 3, fits_cache = 256 * 1024, short_sum = 16;
    if (p.n < kLanes<T>) return packing_product(p);
    if (p.k < short_sum && p.k > 0) return product_of_short_sums(p);
    if (p.b_column != 1) return product_of_lines(p);
    const bool short_rows = p.b_row <= kShortRow<T>, small = p.k * p.n <= fits_cache;
    if (p.m <= (small && !short_rows ? few : very_few)) return product_in_place(p);
    return short_rows ? product_of_short_rows(p) : packing_product(p);
  }
  PackedProduct<T> q = p;
  q.panel_step = p.k * kPanelColumns<T>;
  q.panel_row = kPanelColumns<T>;
  product_with_panels(q);
}

}  // namespace
}  // namespace cavs
