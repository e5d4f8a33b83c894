// Kernels on the feature shape of a row.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

// Shapes of any rank up to 8, of which some dims are 1 in the smaller one.
template <class T>
void test_shapes() {
  for (int round = 0; round < 12 * kRounds; ++round) {
    Dims large, small;
    large.rank = small.rank = pick(0, kMaxRank);
    int64_t large_size = 1, small_size = 1;
    const bool is_long = perhaps(0.1);  // lines that a block adds up
    if (is_long) large.rank = small.rank = pick(1, 3);
    const int longest = is_long ? 1300 : 70;
    for (int i = 0; i < large.rank; ++i) {
      const int most = static_cast<int>(
          std::min<int64_t>(i + 1 == large.rank ? longest : 4, 23 * longest / large_size));
      large.sizes[i] = std::max(1, pick(1, most));
      small.sizes[i] = perhaps(0.5) ? 1 : large.sizes[i];
      large_size *= large.sizes[i];
      small_size *= small.sizes[i];
    }
    Case c;
    pick_rows(&c, 8);
    const int rows = std::max(1, c.end - c.begin);
    const Array of_large = numbers<T>(static_cast<int>(large_size), c.begin, rows);
    const Array of_small = numbers<T>(static_cast<int>(small_size), c.begin, rows);
    c.name = "broadcast";
    c.attributes = ShapeAttributes{small, large};
    c.in = {of_small};
    c.out = of_large;
    check_case<T>(c);
    c.name = "sum_to";
    c.attributes = ShapeAttributes{large, small};
    c.in = {of_large};
    c.out = of_small;
    c.tolerance = 30 * tolerance_of_sums<T>(large.rank == 0 ? 1 : large.sizes[large.rank - 1]);
    check_case<T>(c);
  }
}

template <class T>
void test_all() {
  test_shapes<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
