// Brings the rows of y into panels and shares the rows of x among the threads.
#include "cpu/pairwise_sums.h"

#include <algorithm>
#include <memory>

#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "cpu/isa_table.h"

namespace cavs {
namespace {

// A part of the work, whatever the number of threads: a row has the same bits with each.
constexpr int64_t kRowsOfPart = 32;
// So many parts of each thread are handed out at once; between them the call may be ended.
constexpr int64_t kPartsOfThread = 32;
constexpr double kExpNs = 0.4, kDifferenceNs = 0.05;  // for one pair, of AVX2 or better

template <class T>
std::vector<T> panels_of(const T* y, int64_t m, int64_t d) {
  constexpr int64_t width = kPairColumns;
  const int64_t panels = (m + width - 1) / width;
  std::vector<T> packed(static_cast<size_t>(panels * width * d));
  for (int64_t j = 0; j < m; ++j) {
    T* column = packed.data() + j / width * width * d + j % width;
    for (int64_t k = 0; k < d; ++k) column[k * width] = y[j * d + k];
  }
  return packed;
}

}  // namespace

template <class T>
double pairwise_kernel_sum(const T* x, int64_t n, const T* y, int64_t m, int64_t d,
                           const std::vector<double>& widths, T* grad) {
  if (n == 0) return 0;
  const std::vector<T> panels = panels_of(y, m, d);
  std::vector<T> rates;
  for (const double width : widths) rates.push_back(static_cast<T>(1 / (width * width)));
  std::vector<double> sums(static_cast<size_t>(n));
  if (grad != nullptr) std::fill_n(grad, n * d, T(0));
  const auto part_of = [&](int64_t begin) {
    return PairwiseSum<T>{x,
                          d,
                          m,
                          panels.data(),
                          rates.data(),
                          static_cast<int64_t>(rates.size()),
                          begin,
                          std::min(begin + kRowsOfPart, n),
                          sums.data(),
                          grad};
  };
  const int64_t parts = (n + kRowsOfPart - 1) / kRowsOfPart;
  const int threads =
      static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(num_threads(), parts)));
  const double of_pair = kExpNs * static_cast<double>(rates.size()) +
                         kDifferenceNs * static_cast<double>(grad == nullptr ? d : 2 * d);
  const double ns = of_pair * static_cast<double>(n) * static_cast<double>(m);
  run_team(threads, ns * (threads - 1) / threads, [&](Team& team) {
    Interrupt interrupt;
    const int64_t most = kPartsOfThread * threads;
    for (int64_t first = 0; first < parts; first += most) {
      interrupt.poll();
      team.share(static_cast<int>(std::min(most, parts - first)), [&](int, int part) {
        isa_functions<T>().pairwise_sum(part_of((first + part) * kRowsOfPart));
      });
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template double pairwise_kernel_sum(const float*, int64_t, const float*, int64_t, int64_t,
                                    const std::vector<double>&, float*);
template double pairwise_kernel_sum(const double*, int64_t, const double*, int64_t, int64_t,
                                    const std::vector<double>&, double*);

}  // namespace cavs
