// Kernels along lines whose elements need not stand together: beside those of the CPU.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

void pick_axis(AxisAttributes* axis) {
  axis->length = perhaps(0.1) ? pick(200, 1300) : pick(1, 40);
  axis->outer = pick(1, 3);
  axis->inner = perhaps(0.3) ? 1 : pick(2, axis->length > 100 ? 3 : 20);
}

int64_t size_of(const AxisAttributes& axis, int64_t length) {
  return axis.outer * length * axis.inner;
}

template <class T>
Array rows_of(const Case& c, int64_t size, bool wild) {
  return numbers<T>(static_cast<int>(size), c.begin, std::max(1, c.end - c.begin), wild);
}

// Values that are equal now and then, for orders.
template <class T>
void make_ties(const Case& c, int64_t size, Array* array) {
  for (int r = c.begin; r < c.end; ++r) {
    for (int64_t i = 0; i < size; ++i) array->row<T>(r)[i] = static_cast<T>(pick(-2, 2));
  }
}

template <class T>
void test_columns() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    for (const char* name : {"softmax", "log_softmax", "logsumexp", "row_max"}) {
      AxisAttributes axis;
      pick_axis(&axis);
      axis.inner = std::max<int64_t>(axis.inner, 2);
      Case c;
      c.name = name;
      c.attributes = axis;
      pick_rows(&c, 9);
      const bool reduces = c.name == "logsumexp" || c.name == "row_max";
      c.in = {rows_of<T>(c, size_of(axis, axis.length), perhaps(0.5))};
      c.out = rows_of<T>(c, size_of(axis, reduces ? 1 : axis.length), false);
      c.tolerance = c.name == "row_max" ? 0 : tolerance_of_sums<T>(axis.length);
      check_case<T>(c);
    }
  }
}

template <class T>
void test_running_sums() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    ScanAttributes it;
    pick_axis(&it);
    it.reverse = perhaps(0.5);
    Case c;
    c.name = "cumsum";
    c.attributes = it;
    pick_rows(&c, 9);
    c.in = {rows_of<T>(c, size_of(it, it.length), false)};
    c.out = rows_of<T>(c, size_of(it, it.length), false);
    check_case<T>(c);
  }
}

template <class T>
void test_orders() {
  for (int round = 0; round < 8 * kRounds; ++round) {
    OrderAttributes it;
    pick_axis(&it);
    it.count = perhaps(0.4) ? 1 : perhaps(0.5) ? it.length : pick(1, static_cast<int>(it.length));
    it.descending = perhaps(0.5);
    Case c;
    c.name = "argsort";
    c.attributes = it;
    pick_rows(&c, 6);
    const int64_t size = size_of(it, it.length);
    Array x = rows_of<T>(c, size, perhaps(0.5));
    if (perhaps(0.5)) make_ties<T>(c, size, &x);
    c.in = {x};
    const int rows = std::max(1, c.end - c.begin);
    c.out = integers(c.begin, rows, 0, 0, static_cast<int>(size_of(it, it.count)));
    check_case<int32_t, kDType<T>>(c);
  }
}

template <class T>
void test_elements_by_ids() {
  for (int round = 0; round < 8 * kRounds; ++round) {
    for (const bool puts : {false, true}) {
      PickAttributes it;
      pick_axis(&it);
      it.count = pick(1, 6);
      it.along = perhaps(0.5);
      Case c;
      c.name = puts ? "put_elements" : "pick_elements";
      c.attributes = it;
      pick_rows(&c, 9);
      const int rows = std::max(1, c.end - c.begin);
      const int64_t whole = size_of(it, it.length), some = size_of(it, it.count);
      const auto ids = static_cast<int>(it.along ? some : it.count);
      const int beyond = perhaps(0.1) ? 1 : 0;  // an id without an element
      Array places = integers(c.begin, rows, -1, static_cast<int>(it.length) - 1 + beyond, ids);
      c.in = {rows_of<T>(c, puts ? some : whole, false), places};
      c.out = rows_of<T>(c, puts ? whole : some, false);
      check_case<T>(c);
    }
  }
}

template <class T>
void test_orders_of_axes() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const int n[3] = {pick(1, 9), pick(1, 20), pick(1, 7)};
    int order[3] = {0, 1, 2};
    for (int i = 2; i > 0; --i) std::swap(order[i], order[pick(0, i)]);
    const int steps[3] = {n[1] * n[2], n[2], 1};
    PermuteAttributes it;
    it.sizes.rank = it.steps.rank = 3;
    for (int i = 0; i < 3; ++i) {
      it.sizes.sizes[i] = n[order[i]];
      it.steps.sizes[i] = steps[order[i]];
    }
    Case c;
    c.name = "permute";
    c.attributes = it;
    pick_rows(&c, 9);
    c.in = {rows_of<T>(c, int64_t{n[0]} * n[1] * n[2], true)};
    c.out = rows_of<T>(c, int64_t{n[0]} * n[1] * n[2], false);
    check_case<T>(c);
  }
}

template <class T>
void test_all() {
  test_columns<T>();
  test_running_sums<T>();
  test_orders<T>();
  test_elements_by_ids<T>();
  test_orders_of_axes<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
