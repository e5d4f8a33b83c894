// Kernels that move rows.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

template <class T>
void test_moves() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const int width = some_width(), rows = pick(1, 40);
    for (const char* name : {"copy", "take", "load", "store"}) {
      Case c;
      c.name = name;
      pick_rows(&c, rows);
      const int count = std::max(1, c.end - c.begin);
      const bool indexed = c.name != "copy" && perhaps(0.7), stores = c.name == "store";
      if (c.name == "load") {
        c.attributes = LoadAttributes{};
      }
      if (indexed) c.table.index = indices(rows, rows);
      if (indexed && stores) {  // no row twice
        for (int i = 0; i < rows; ++i)
          c.table.index[static_cast<size_t>(i)] = perhaps(0.3) ? -1 : i;
        std::shuffle(c.table.index.begin(), c.table.index.end(), generator);
      }
      const bool all_in = indexed && !stores, all_out = indexed && stores;
      c.in = {numbers<T>(width, all_in ? 0 : c.begin, all_in ? rows : count, true)};
      c.out = Array::make(sizeof(T), width, some_ld(width), all_out ? 0 : c.begin,
                          all_out ? rows : count);
      check_case<T>(c);
    }
  }
}

// Ids of -1, and one without a row.
template <class T>
void test_embedding() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const int width = some_width(), count = pick(1, 20);
    Case c;
    c.name = "embedding";
    c.attributes = EmbeddingAttributes{count, width};
    pick_rows(&c, 30);
    const int rows = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(width * count, 0, 1, false, false), integers(c.begin, rows, -1, count)};
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, rows);
    check_case<T>(c);
  }
}

template <class T>
void test_fill() {
  for (int round = 0; round < 2 * kRounds; ++round) {
    const double values[] = {0, -0.0, 1.5, 1e-3, std::numeric_limits<double>::infinity()};
    const int width = some_width();
    Case c;
    c.name = "fill";
    c.attributes = FillAttributes{values[pick(0, 4)]};
    pick_rows(&c, 30);
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
    check_case<T>(c);
  }
}

// Lines of columns, through an index or not.
template <class T>
void test_copy_columns() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const bool fours = perhaps(0.5);  // widths in which wide words may move
    const auto some = [&](int most) { return fours ? 4 * pick(0, most / 4) : pick(0, most); };
    ColumnsAttributes it;
    it.lines = pick(1, 5);
    it.width = std::max(fours ? 4 : 1, some(20));
    it.source_column = some(9);
    it.source_step = it.width + some(9) + (perhaps(0.2) ? 1 : 0);
    it.target_column = some(9);
    it.target_step = it.width + some(9) + (perhaps(0.2) ? 1 : 0);
    Case c;
    c.name = "copy_columns";
    c.attributes = it;
    pick_rows(&c, 20);
    const auto size = [&](int64_t column, int64_t step) {
      return static_cast<int>(column + (it.lines - 1) * step + it.width) + some(4);
    };
    const bool indexed = perhaps(0.5);
    if (indexed) c.table.index = indices(20, 20);
    const int rows = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(size(it.source_column, it.source_step), indexed ? 0 : c.begin,
                       indexed ? 20 : rows)};
    const int out_size = size(it.target_column, it.target_step);
    c.out = Array::make(sizeof(T), out_size, some_ld(out_size), c.begin, rows);
    check_case<T>(c);
  }
}

// Integers stay as they are, in programs of either dtype.
template <class T>
void test_integers() {
  for (int round = 0; round < kRounds; ++round) {
    Case c;
    c.name = perhaps(0.5) ? "load" : "unique_ids";
    pick_rows(&c, 30);
    c.table.index = indices(30, 30);
    if (c.name == "load") {
      c.attributes = LoadAttributes{true};
      c.in = {integers(0, 30, -5, 5)};
    }
    c.out = integers(c.begin, std::max(1, c.end - c.begin), 7, 7);
    check_case<int32_t, kDType<T>>(c);
  }
}

// Up to 20 inputs, slots beyond them, and vertices without a row.
template <class T>
void test_slots_to_edges() {
  for (int round = 0; round < 3 * kRounds; ++round) {
    const int width = some_width(), inputs = perhaps(0.5) ? pick(1, 3) : pick(4, 20);
    Case c;
    c.name = "slots_to_edges";
    pick_rows(&c, 30);
    c.table.index = indices(30, 10);
    for (int e = 0; e < 30; ++e) c.table.list.push_back(pick(0, inputs));
    for (int i = 0; i < inputs; ++i) c.in.push_back(numbers<T>(width, 0, 10));
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
    check_case<T>(c);
  }
}

template <class T>
void test_all() {
  test_moves<T>();
  test_embedding<T>();
  test_fill<T>();
  test_copy_columns<T>();
  test_integers<T>();
  test_slots_to_edges<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
