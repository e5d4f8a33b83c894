// Kernels along the groups of a row, and of labels.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

AxisAttributes some_axis() {
  AxisAttributes axis;
  const int length = perhaps(0.15) ? pick(1025, 1600) : perhaps(0.2) ? pick(1, 1024) : some_width();
  axis.length = length;
  axis.outer = length > 1000 ? pick(1, 2) : pick(1, 4);
  return axis;
}

template <class T>
Array groups(const AxisAttributes& axis, const Case& c, bool reduced, bool wild) {
  const auto size = static_cast<int>(axis.outer * (reduced ? 1 : axis.length));
  return numbers<T>(size, c.begin, std::max(1, c.end - c.begin), wild);
}

// Now and then a group of nothing but -inf, which masks leave, or of +inf.
template <class T>
void mask_groups(const AxisAttributes& axis, const Case& c, Array* array) {
  for (int r = c.begin; r < c.end; ++r) {
    for (int64_t g = 0; g < axis.outer; ++g) {
      if (!perhaps(0.15)) continue;
      const T inf = std::numeric_limits<T>::infinity(), value = perhaps(0.7) ? -inf : inf;
      std::fill_n(array->row<T>(r) + g * axis.length, axis.length, value);
    }
  }
}

// The greatest of zeros of both signs is the one that the CPU finds with AVX-512.
template <class T>
void test_greatest_zero() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const AxisAttributes axis{1, pick(1, 100)};
    Case c;
    c.name = "row_max";
    c.attributes = axis;
    c.end = 10;
    Array x = groups<T>(axis, c, false, false);
    for (int r = 0; r < c.end; ++r) {
      for (int64_t i = 0; i < axis.length; ++i) x.row<T>(r)[i] = perhaps(0.5) ? T(0) : -T(0);
    }
    c.in = {x};
    c.out = groups<T>(axis, c, true, false);
    c.tolerance = tolerance_of_sums<T>(axis.length);
    check_case<T>(c);
  }
}

template <class T>
void test_along_an_axis() {
  for (int round = 0; round < 5 * kRounds; ++round) {
    for (const char* name : {"softmax", "log_softmax", "logsumexp", "row_max", "row_sum",
                             "one_hot_max", "logsumexp_grad"}) {
      const AxisAttributes axis = some_axis();
      Case c;
      c.name = name;
      c.attributes = axis;
      pick_rows(&c, 12);
      const bool wild = perhaps(0.5);
      const bool reduces = c.name == "logsumexp" || c.name == "row_max" || c.name == "row_sum";
      Array x = groups<T>(axis, c, false, wild);
      if (wild) mask_groups<T>(axis, c, &x);
      if (c.name == "logsumexp_grad") {
        c.in = {groups<T>(axis, c, true, false), groups<T>(axis, c, true, wild), x};
      } else if (c.name == "one_hot_max") {
        c.in = {x, groups<T>(axis, c, false, wild)};
      } else {
        c.in = {x};
      }
      c.out = groups<T>(axis, c, reduces, false);
      const bool sums = c.name != "row_max" && c.name != "one_hot_max";
      c.tolerance = sums ? tolerance_of_sums<T>(axis.length) : 0;
      if (c.name == "row_sum") c.tolerance *= 30;  // of numbers that cancel
      // Among zeros of both signs a block takes any.
      if (c.name == "row_max" && axis.length > 1024) c.tolerance = 1e-30;
      check_case<T>(c);
    }
  }
}

// Labels of -1, without a class, impossible and certain ones.
template <class T>
void test_cross_entropy() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const AxisAttributes axis{1, some_axis().length};
    const auto classes = static_cast<int>(axis.length);
    Case c;
    pick_rows(&c, 20);
    const int rows = std::max(1, c.end - c.begin);
    const bool wild = perhaps(0.5);
    Array x = groups<T>(axis, c, false, wild);
    if (wild) mask_groups<T>(axis, c, &x);
    Array labels = integers(c.begin, rows, -1, classes - 1);
    if (perhaps(0.2)) *labels.row<int32_t>(c.begin) = classes;
    c.tolerance = tolerance_of_sums<T>(classes);
    c.name = "cross_entropy";
    c.in = {x, labels};
    c.out = groups<T>(axis, c, true, false);
    check_case<T>(c);
    c.name = "cross_entropy_grad";
    c.in = {groups<T>(axis, c, true, false), x, labels};
    c.out = groups<T>(axis, c, false, false);
    check_case<T>(c);
  }
}

template <class T>
void test_all() {
  test_greatest_zero<T>();
  test_along_an_axis<T>();
  test_cross_entropy<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
