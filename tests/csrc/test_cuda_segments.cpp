// Kernels over the rows that a table lists.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

// Lists of rows, some empty; named by a list or adjacent; whole rows or parts of them.
template <class T>
void test_segments() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    for (const char* name : {"segment_sum", "segment_max", "segment_logsumexp"}) {
      const int width = some_width(), rows = 20;
      Case c;
      c.name = name;
      pick_rows(&c, rows);
      c.table.ptr = {0};
      const int longest = pick(1, 9);
      for (int r = 0; r < rows; ++r) {
        c.table.ptr.push_back(c.table.ptr.back() + (perhaps(0.3) ? 0 : pick(1, longest)));
      }
      const int entries = std::max(1, c.table.ptr.back());
      const bool listed = perhaps(0.7), parts = perhaps(0.3);
      const int count = listed ? 25 : entries;
      for (int i = 0; listed && i < entries; ++i) c.table.list.push_back(pick(0, count - 1));
      for (int i = 0; parts && i < entries; ++i) c.table.part.push_back(pick(0, 2));
      c.in = {numbers<T>(parts ? 3 * width : width, 0, count, perhaps(0.5))};
      c.in[0].size = width;  // of a part
      if (c.name == "segment_logsumexp") c.tolerance = tolerance_of_functions<T>();
      c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
      check_case<T>(c);
    }
  }
}

// Numbers that stand side by side are added in the order of a row.
template <class T>
void test_segment_softmax() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const bool narrow = perhaps(0.4);
    const int width = narrow ? 1 : some_width(), rows = narrow ? 100 : 30;
    Case c;
    c.name = perhaps(0.5) ? "segment_softmax" : "segment_log_softmax";
    c.space = SpaceKind::kEdge;
    const int longest = pick(1, narrow ? 40 : 8);
    for (int parent = 0; static_cast<int>(c.table.index.size()) < rows; ++parent) {
      for (int i = pick(0, longest); i > 0; --i) c.table.index.push_back(parent);
    }
    const auto is_first = [&](int e) {
      const auto i = static_cast<size_t>(e);
      return e == 0 || c.table.index[i] != c.table.index[i - 1];
    };
    pick_rows(&c, rows);
    while (!is_first(c.begin)) --c.begin;
    while (c.end > c.begin && !is_first(c.end)) --c.end;
    const int count = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(width, c.begin, count, perhaps(0.5))};
    c.out =
        Array::make(sizeof(T), width, narrow && perhaps(0.7) ? 1 : some_ld(width), c.begin, count);
    c.tolerance = narrow ? tolerance_of_sums<T>(1) : tolerance_of_functions<T>();
    check_case<T>(c);
  }
}

template <class T>
void test_numbers_of_rows() {
  for (int round = 0; round < kRounds; ++round) {
    Case c;
    pick_rows(&c, 20);
    const int rows = std::max(1, c.end - c.begin);
    c.out = Array::make(sizeof(T), 1, pick(1, 3), c.begin, rows);
    c.name = "num_children";
    c.table.ptr = {0};
    for (int r = 0; r < 20; ++r) c.table.ptr.push_back(c.table.ptr.back() + pick(0, 4));
    check_case<T>(c);
    c.name = "present";
    c.in = {integers(c.begin, rows, -1, 1)};
    check_case<T>(c);
  }
}

template <class T>
void test_all() {
  test_segments<T>();
  test_segment_softmax<T>();
  test_numbers_of_rows<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
