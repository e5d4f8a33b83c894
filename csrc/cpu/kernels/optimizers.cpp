// Shares an optimiser's step, and sums over arrays, among the threads.
#include "cpu/kernels/optimizers.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cpu/isa_table.h"

namespace cavs {
namespace {

// Below this many elements, it costs more to hand a thread its part than the thread saves.
constexpr int64_t kElementsPerThread = 16 * 1024;
constexpr double kElementNs = 0.4;
// More parts than threads, so that a thread that comes late still finds some.
constexpr int64_t kPartsPerThread = 4;
// Sums of squares are taken over blocks of this size, whatever the threads, then added in order.
constexpr int64_t kBlock = 16 * 1024;

template <class T>
const OptimizerTable<T>& table();
template <>
const OptimizerTable<float>& table<float>() {
  return isa_table().single;
}
template <>
const OptimizerTable<double>& table<double>() {
  return isa_table().twice;
}

int threads_for(int64_t elements) {
  const int64_t useful = elements / kElementsPerThread;
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(num_threads(), useful)));
}

// Calls body(begin, end) on ranges that cover [0, n), borders at multiples of `unit`.
template <class Body>
void split(int64_t n, int64_t elements, int64_t unit, const Body& body) {
  const int threads = threads_for(elements);
  const int64_t units = (n + unit - 1) / unit;
  const int64_t parts =
      threads == 1 ? 1 : std::max<int64_t>(1, std::min(units, kPartsPerThread * threads));
  const double saved_ns = static_cast<double>(elements) * kElementNs * (threads - 1) / threads;
  run_team(threads, saved_ns, [&](Team& team) {
    team.share(static_cast<int>(parts), [&](int, int part) {
      const int64_t begin = std::min(n, units * part / parts * unit);
      const int64_t end = std::min(n, units * (part + 1) / parts * unit);
      if (begin < end) body(begin, end);
    });
  });
}

constexpr int64_t kUnit = 64;

// Calls body(update, begin, end) on ranges that cover the elements of all updates.
template <class T, class Body>
void for_updates(const std::vector<DenseUpdate<T>>& updates, const Body& body) {
  int64_t total = 0;
  for (const DenseUpdate<T>& update : updates) total += update.n;
  split(total, total, kUnit, [&](int64_t begin, int64_t end) {
    for (const DenseUpdate<T>& update : updates) {
      const int64_t first = std::max<int64_t>(begin, 0), last = std::min(end, update.n);
      if (first < last) body(update, first, last);
      begin -= update.n;
      end -= update.n;
    }
  });
}

// Calls body(row of the parameter, row of the gradient), as offsets in elements.
template <class Body>
void for_rows(const int32_t* ids, int64_t count, int64_t d, const Body& body) {
  split(count, count * d, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (ids[i] >= 0) body(ids[i] * d, i * d);
    }
  });
}

template <class T>
double sum_blocks(const T* x, int64_t n, double (*sum_block)(const T*, int64_t)) {
  if (n <= kBlock) return sum_block(x, n);
  const int64_t num_blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(num_blocks));
  split(num_blocks, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      sums[static_cast<size_t>(b)] = sum_block(x + b * kBlock, std::min(kBlock, n - b * kBlock));
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// A step over n elements of an update: from `at` in its parameter and `from` in its gradient.
template <class T>
void step_at(const OptimizerSettings& settings, const DenseUpdate<T>& u, int64_t at, int64_t from,
             int64_t n) {
  T* const param = u.param + at;
  const T* const grad = u.grad + from;
  const auto kept = [at](T* state) { return state == nullptr ? nullptr : state + at; };
  T* const first = kept(u.first);
  T* const second = kept(u.second);
  if (const auto* sgd = std::get_if<SgdSettings>(&settings)) {
    table<T>().sgd(*sgd, param, grad, first, n);
  } else if (const auto* adagrad = std::get_if<AdagradSettings>(&settings)) {
    table<T>().adagrad(*adagrad, param, grad, first, n);
  } else if (const auto* rmsprop = std::get_if<RmspropSettings>(&settings)) {
    const bool has_momentum = rmsprop->momentum != 0;
    T* const mean = !rmsprop->centered ? nullptr : has_momentum ? kept(u.third) : second;
    table<T>().rmsprop(*rmsprop, param, grad, first, has_momentum ? second : nullptr, mean, n);
  } else {
    table<T>().adam(std::get<AdamSettings>(settings), u.step, param, grad, first, second, n);
  }
}

}  // namespace

template <class T>
void optimizer_step(const OptimizerSettings& settings, const std::vector<DenseUpdate<T>>& updates) {
  for_updates(updates, [&](const DenseUpdate<T>& u, int64_t begin, int64_t end) {
    step_at(settings, u, begin, begin, end - begin);
  });
}

void check_row_ids(const int32_t* ids, int64_t count, int64_t num_rows) {
  std::vector<bool> seen(static_cast<size_t>(num_rows));
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = ids[i];
    CAVS_CHECK(id >= -1 && id < num_rows, ErrorKind::kValue, "[optim] expected row ids from -1 to ",
               num_rows - 1, ", got ", id, " at position ", i, "; check the ids of the gradient");
    if (id < 0) continue;
    CAVS_CHECK(!seen[static_cast<size_t>(id)], ErrorKind::kValue,
               "[optim] expected distinct row ids, got ", id, " again at position ", i,
               "; sum the rows of equal ids first");
    seen[static_cast<size_t>(id)] = true;
  }
}

template <class T>
void optimizer_step_rows(OptimizerSettings settings, const DenseUpdate<T>& u, const int32_t* ids,
                         int64_t count, int64_t d) {
  if (auto* adam = std::get_if<AdamSettings>(&settings)) adam->sparse = true;
  for_rows(ids, count, d,
           [&](int64_t row, int64_t source) { step_at(settings, u, row, source, d); });
}

template <class T>
double sum_all(const T* x, int64_t n) {
  return sum_blocks(x, n, table<T>().sum);
}

template <class T>
double sum_squares(const T* x, int64_t n) {
  return sum_blocks(x, n, table<T>().sum_squares);
}

template <class T>
bool has_nan(const T* x, int64_t rows, int64_t ld, int64_t n) {
  return table<T>().has_nan(x, rows, ld, n);
}

template <class T>
std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays) {
  std::vector<Elements<T>> blocks;
  std::vector<size_t> ends;  // [array] end of its blocks
  int64_t total = 0;
  for (const Elements<T>& array : arrays) {
    for (int64_t i = 0; i < array.n; i += kBlock) {
      blocks.push_back({array.data + i, std::min(kBlock, array.n - i)});
    }
    ends.push_back(blocks.size());
    total += array.n;
  }
  std::vector<T> of_block(blocks.size());
  split(static_cast<int64_t>(blocks.size()), total, 1, [&](int64_t begin, int64_t end) {
    for (auto b = static_cast<size_t>(begin); b < static_cast<size_t>(end); ++b) {
      of_block[b] = table<T>().max_abs(blocks[b].data, blocks[b].n);
    }
  });
  std::vector<T> found;
  size_t begin = 0;
  for (const size_t end : ends) {
    const auto count = static_cast<int64_t>(end - begin);
    found.push_back(table<T>().max_abs(of_block.data() + begin, count));
    begin = end;
  }
  return found;
}

template <class T>
T max_abs(const T* x, int64_t n) {
  return max_abs_each<T>({{x, n}}).front();
}

template <class T>
T max_abs_rows(const T* x, const int32_t* ids, int64_t count, int64_t d) {
  constexpr int64_t rows = 64;  // a unit of work
  const int64_t num_blocks = (count + rows - 1) / rows;
  std::vector<T> found(static_cast<size_t>(num_blocks));
  split(num_blocks, count * d, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      found[static_cast<size_t>(b)] =
          table<T>().max_abs_rows(x, ids + b * rows, std::min(rows, count - b * rows), d);
    }
  });
  return table<T>().max_abs(found.data(), num_blocks);
}

template <class T>
void scale_in_place(T* x, double factor, int64_t n) {
  split(n, n, kUnit,
        [&](int64_t begin, int64_t end) { table<T>().scale(x + begin, factor, end - begin); });
}

template <class T>
void add_in_place(T* x, const T* y, double factor, int64_t n) {
  split(n, n, kUnit, [&](int64_t begin, int64_t end) {
    table<T>().add_scaled(x + begin, y + begin, factor, end - begin);
  });
}

#define CAVS_INSTANTIATE(T)                                                                   \
  template void optimizer_step(const OptimizerSettings&, const std::vector<DenseUpdate<T>>&); \
  template void optimizer_step_rows(OptimizerSettings, const DenseUpdate<T>&, const int32_t*, \
                                    int64_t, int64_t);                                        \
  template double sum_all(const T*, int64_t);                                                 \
  template double sum_squares(const T*, int64_t);                                             \
  template std::vector<T> max_abs_each(const std::vector<Elements<T>>&);                      \
  template T max_abs(const T*, int64_t);                                                      \
  template bool has_nan(const T*, int64_t, int64_t, int64_t);                                 \
  template T max_abs_rows(const T*, const int32_t*, int64_t, int64_t);                        \
  template void scale_in_place(T*, double, int64_t);                                          \
  template void add_in_place(T*, const T*, double, int64_t);
CAVS_INSTANTIATE(float)
CAVS_INSTANTIATE(double)
#undef CAVS_INSTANTIATE

}  // namespace cavs
