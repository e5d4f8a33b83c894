// Products and sums over rows on a GPU: all shapes, ways to read rows, masks, and what they promise
// of bits.
#include "base/matmul_precision.h"
#include "cuda_products.h"

using namespace cavs_test;

namespace {

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void run_case(const Case& c, unsigned seed) {
  Problem<T> problem(c, seed);
  const std::vector<T> got = problem.run(c.begin, c.end);
  problem.check(got, c.begin, c.end);
  CHECK(same(got, problem.run(c.begin, c.end)));  // in every run
  if (c.runs_on_cpu()) problem.check(problem.run_on_cpu(c.begin, c.end), c.begin, c.end);
}

int pick(std::mt19937& random, std::initializer_list<int> from) {
  return from.begin()[random() % from.size()];
}

// Cases of all kinds, as far as the CPU's kernels take them.
Case any_case(std::mt19937& random, int64_t most_work) {
  for (;;) {
    Case c;
    c.m = pick(random, {1, 1, 2, 3, 5, 16, 33, 64, 100, 300});
    c.k = pick(random, {0, 1, 1, 2, 3, 5, 16, 33, 64, 100, 300, 600});
    c.n = pick(random, {1, 2, 3, 5, 16, 33, 64, 100, 300});
    const int rows = pick(random, {0, 1, 2, 7, 64, 500, 1500});
    if (int64_t{rows} * c.m * c.k * c.n > most_work) continue;
    c.ta = random() % 2 != 0;
    c.tb = random() % 2 != 0;
    c.a = static_cast<Reads>(random() % 3);
    c.b = static_cast<Reads>(random() % 3);
    c.mask = pick(random, {0, 0, 1, 2});
    c.begin = pick(random, {0, 0, 3, 11});
    c.end = c.begin + rows;
    c.padding = pick(random, {0, 1, 4, 16});
    c.shift = pick(random, {0, 0, 1, 4});
    const bool sums = random() % 3 == 0;
    c.goes_on = sums && random() % 2 != 0;
    c.kernel = std::string(sums ? "matmul_reduce" : "matmul") + (c.mask != 0 ? "_masked" : "");
    try {
      check_instruction(Problem<float>(c, 1).program,
                        Problem<float>(c, 1).program.segments[0].instructions[0]);
    } catch (const Error&) {
      continue;
    }
    return c;
  }
}

template <class T>
void test_any_products(unsigned count, unsigned seed) {
  std::mt19937 random(seed);
  for (unsigned i = 0; i < count; ++i) run_case<T>(any_case(random, 1000000), seed + i);
}

template <class T>
void test_sums_of_rows() {
  std::mt19937 random(3);
  for (const int rows : {0, 1, 2, 7, 64, 500, 1500}) {
    for (const int size : {1, 3, 32, 33, 100, 300}) {
      Case c;
      c.kernel = "reduce_rows";
      c.n = size;
      c.begin = pick(random, {0, 5});
      c.end = c.begin + rows;
      c.padding = pick(random, {0, 1, 4});
      c.goes_on = random() % 2 != 0;
      run_case<T>(c, 1);
    }
  }
}

// A row has the same bits alone and among others: `most` rows are few enough for the own kernels.
template <class T>
void test_rows_have_the_same_bits_among_others(Case c, int most) {
  c.end = c.begin + most;
  Problem<T> problem(c, 17);
  const std::vector<T> all = problem.run(c.begin, c.end);
  for (const int count : {1, 3, 8, 65}) {
    if (count >= most) continue;
    const int begin = c.begin + most / 2 - count / 2;
    const std::vector<T> some = problem.run(begin, begin + count);
    problem.check(some, begin, begin + count);
    const int64_t ld = c.m * c.n + c.padding;
    CHECK(std::memcmp(some.data() + c.shift + begin * ld, all.data() + c.shift + begin * ld,
                      static_cast<size_t>(count * ld - c.padding) * sizeof(T)) == 0);
  }
}

template <class T>
void test_rows_have_the_same_bits() {
  Case c;
  c.k = 150, c.n = 70, c.begin = 2;
  test_rows_have_the_same_bits_among_others<T>(c, 100);
  c.tb = true, c.k = 601;
  test_rows_have_the_same_bits_among_others<T>(c, 100);
  c.n = 3;
  test_rows_have_the_same_bits_among_others<T>(c, 100);
  c.kernel = "matmul_masked", c.mask = 1, c.a = Reads::kTable, c.n = 40;
  test_rows_have_the_same_bits_among_others<T>(c, 300);
  c = Case();
  c.m = 5, c.k = 33, c.n = 20, c.b = Reads::kOwn;
  test_rows_have_the_same_bits_among_others<T>(c, 66);
  c.m = 34, c.n = 33;
  test_rows_have_the_same_bits_among_others<T>(c, 10);
}

// By each of the kernels. The blocks of the first take several tiles, one after the other.
template <class T>
void test_rows_that_are_left_out() {
  Case c;
  c.kernel = "matmul_masked", c.mask = 1;
  c.k = 9, c.n = 65, c.begin = 2, c.end = 3002;
  run_case<T>(c, 1);
  Problem<T>(c, 1).check_left_out();
  c.mask = 2, c.end = 22;
  Problem<T>(c, 2).check_left_out();
  c.mask = 1, c.k = 3;
  Problem<T>(c, 3).check_left_out();
  c.b = Reads::kOwn, c.a = Reads::kTable, c.m = 2;
  Problem<T>(c, 4).check_left_out();
  c.b = Reads::kTable, c.k = 40, c.n = 3, c.tb = true;
  Problem<T>(c, 5).check_left_out();
  c.m = 40, c.n = 70;
  Problem<T>(c, 6).check_left_out();
  c = Case();
  c.kernel = "matmul_masked", c.mask = 2;  // by cuBLAS
  c.k = 60, c.n = 100, c.end = 200;
  Problem<T>(c, 7).check_left_out();
}

int64_t products_by_blas() {
  constexpr int kProducts = 3;  // among the emulator's counts
  int64_t counts[kProducts + 1] = {};
  const auto read =
      reinterpret_cast<int (*)(int64_t*, int, int)>(emulator_function("cavs_emulator_counts"));
  if (read != nullptr) read(counts, kProducts + 1, 0);
  return counts[kProducts];
}

template <class T>
void run_large(const Case& c, bool by_blas = true) {
  const int64_t before = products_by_blas();
  run_case<T>(c, 1);
  if (is_emulated() && (products_by_blas() > before) != by_blas) {
    cavs_test::report(__FILE__, __LINE__, c.text() + (by_blas ? ": not by cuBLAS" : ": by cuBLAS"));
  }
}

// Large products, which cuBLAS computes where rows stand evenly.
template <class T>
void test_large_products() {
  Case c;
  c.k = 64, c.n = 100, c.begin = 3, c.end = 300, c.padding = 4;
  run_large<T>(c);
  c.tb = true, c.shift = 1;
  run_large<T>(c);
  c.ta = true;  // of one line
  run_large<T>(c);
  c.ta = false, c.m = 3, c.end = 103, c.padding = 0;  // lines of rows without padding
  run_large<T>(c);
  c.padding = 1;
  run_large<T>(c, false);
  c = Case();
  c.kernel = "matmul_masked", c.mask = 1;
  c.k = 60, c.n = 100, c.begin = 5, c.end = 205, c.padding = 1;
  run_large<T>(c);
  c.a = Reads::kTable;
  run_large<T>(c, false);
  c = Case();
  c.m = 64, c.k = 80, c.a = Reads::kShared, c.b = Reads::kOwn, c.begin = 1, c.end = 301;
  c.padding = 2;
  run_large<T>(c);  // C^T = B^T A^T, a line for each row
  c.ta = true;
  run_large<T>(c);
  for (const int kind : {0, 1, 2, 3}) {  // matrices of each row
    c = Case();
    c.m = 33, c.k = 64, c.n = 50, c.b = Reads::kOwn, c.end = 12, c.begin = 1, c.padding = 3;
    c.ta = kind % 2 != 0, c.tb = kind >= 2;
    run_large<T>(c);
    c.a = Reads::kShared;
    run_large<T>(c);
  }
  for (const bool goes_on : {false, true}) {
    c = Case();
    c.kernel = "matmul_reduce", c.goes_on = goes_on;
    c.m = 40, c.n = 64, c.b = Reads::kOwn, c.begin = 2, c.end = 602, c.padding = 1, c.shift = 3;
    run_large<T>(c);
    c.ta = c.tb = true;
    run_large<T>(c);
    c.padding = 0, c.k = 5, c.tb = false, c.end = 122;
    run_large<T>(c);
    c.tb = true;
    run_large<T>(c, false);
  }
}

// Factors are rounded to TF32 where the library allows it, and only there.
void test_tf32() {
  Case c;
  c.k = 64, c.n = 100, c.end = 300;
  Problem<float> problem(c, 1);
  const std::vector<float> exact = problem.run(c.begin, c.end);
  set_uses_tf32(true);
  const std::vector<float> rounded = problem.run(c.begin, c.end);
  set_uses_tf32(false);
  CHECK(same(exact, problem.run(c.begin, c.end)));
  CHECK(!same(exact, rounded));
  float largest = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    if (exact[i] == exact[i]) largest = std::max(largest, std::abs(exact[i] - rounded[i]));
  }
  CHECK(largest < 0.05F);
}

}  // namespace

int main() {
  test_tf32();
  test_rows_that_are_left_out<float>();
  test_rows_that_are_left_out<double>();
  test_large_products<float>();
  test_large_products<double>();
  test_any_products<float>(150, 5);
  test_any_products<double>(150, 6);
  test_sums_of_rows<float>();
  test_sums_of_rows<double>();
  test_rows_have_the_same_bits<float>();
  test_rows_have_the_same_bits<double>();
  return cavs_test::result();
}
