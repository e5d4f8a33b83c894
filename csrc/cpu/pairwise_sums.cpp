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

template <class T>
std::vector<T> rates_of(const std::vector<double>& widths) {
  std::vector<T> rates;
  for (const double width : widths) rates.push_back(static_cast<T>(1 / (width * width)));
  return rates;
}

// Calls body(begin, end) for parts of n rows, each of which meets m rows at `ns_of_pair` a pair.
template <class Body>
void for_each_part(int64_t n, int64_t m, double ns_of_pair, const Body& body) {
  const int64_t parts = (n + kRowsOfPart - 1) / kRowsOfPart;
  const int threads =
      static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(num_threads(), parts)));
  const double ns = ns_of_pair * static_cast<double>(n) * static_cast<double>(m);
  run_team(threads, ns * (threads - 1) / threads, [&](Team& team) {
    Interrupt interrupt;
    const int64_t most = kPartsOfThread * threads;
    for (int64_t first = 0; first < parts; first += most) {
      interrupt.poll();
      team.share(static_cast<int>(std::min(most, parts - first)), [&](int, int part) {
        const int64_t begin = (first + part) * kRowsOfPart;
        body(begin, std::min(begin + kRowsOfPart, n));
      });
    }
  });
}

}  // namespace

template <class T>
double pairwise_kernel_sum(const T* x, int64_t n, const T* y, int64_t m, int64_t d,
                           const std::vector<double>& widths, T* grad) {
  if (n == 0) return 0;
  const std::vector<T> panels = panels_of(y, m, d), rates = rates_of<T>(widths);
  const auto num_widths = static_cast<int64_t>(rates.size());
  std::vector<double> sums(static_cast<size_t>(n));
  if (grad != nullptr) std::fill_n(grad, n * d, T(0));
  const double ns = kExpNs * static_cast<double>(num_widths) +
                    kDifferenceNs * static_cast<double>(grad == nullptr ? d : 2 * d);
  for_each_part(n, m, ns, [&](int64_t begin, int64_t end) {
    isa_functions<T>().pairwise_sum(
        {x, d, m, panels.data(), rates.data(), num_widths, begin, end, sums.data(), grad});
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <class T>
void pairwise_kernel_curve(const T* x, const T* u, int64_t n, const T* y, const T* v, int64_t m,
                           int64_t d, const std::vector<double>& widths, T* grad) {
  if (n == 0) return;
  const std::vector<T> ys = panels_of(y, m, d), vs = panels_of(v, m, d),
                       rates = rates_of<T>(widths);
  const auto num_widths = static_cast<int64_t>(rates.size());
  std::fill_n(grad, n * d, T(0));
  const double ns =
      kExpNs * static_cast<double>(num_widths) + kDifferenceNs * static_cast<double>(4 * d);
  for_each_part(n, m, ns, [&](int64_t begin, int64_t end) {
    isa_functions<T>().pairwise_curve(
        {x, u, d, m, ys.data(), vs.data(), rates.data(), num_widths, begin, end, grad});
  });
}

template double pairwise_kernel_sum(const float*, int64_t, const float*, int64_t, int64_t,
                                    const std::vector<double>&, float*);
template double pairwise_kernel_sum(const double*, int64_t, const double*, int64_t, int64_t,
                                    const std::vector<double>&, double*);
template void pairwise_kernel_curve(const float*, const float*, int64_t, const float*, const float*,
                                    int64_t, int64_t, const std::vector<double>&, float*);
template void pairwise_kernel_curve(const double*, const double*, int64_t, const double*,
                                    const double*, int64_t, int64_t, const std::vector<double>&,
                                    double*);

}  // namespace cavs
