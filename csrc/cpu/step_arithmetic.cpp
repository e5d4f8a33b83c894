// Computes the sums, norms and updates of a training step, shared among the threads.
#include "cpu/step_arithmetic.h"

#include <algorithm>
#include <type_traits>

#include "base/denormals.h"
#include "base/everlasting.h"
#include "base/thread_pool.h"
#include "cpu/isa_table.h"
#include "runtime/update_bounds.h"

namespace cavs {
namespace {

// Below this many elements, it costs more to hand a thread its part than the thread saves.
constexpr int64_t kElementsPerThread = 16 * 1024;
constexpr double kElementNs = 0.4;
// More parts than threads, so that a thread that comes late still finds some.
constexpr int64_t kPartsPerThread = 4;
// Sums of squares are taken over blocks of this size, whatever the threads, then added in order.
constexpr int64_t kBlock = 16 * 1024;
constexpr int64_t kUnit = 64;

template <class T>
constexpr DType kDType = std::is_same_v<T, double> ? DType::kFloat64 : DType::kFloat32;

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

template <class T>
double sum_blocks(const Elements<T>& x, double (*sum_block)(const T*, int64_t)) {
  if (x.n <= kBlock) return sum_block(x.data, x.n);
  const int64_t num_blocks = (x.n + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(num_blocks));
  split(num_blocks, x.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      sums[static_cast<size_t>(b)] =
          sum_block(x.data + b * kBlock, std::min(kBlock, x.n - b * kBlock));
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
  const IsaFunctions<T>& isa = isa_functions<T>();
  T* const param = u.param + at;
  const T* const grad = u.grad + from;
  const auto kept = [at](T* state) { return state == nullptr ? nullptr : state + at; };
  T* const first = kept(u.first);
  T* const second = kept(u.second);
  if (const auto* sgd = std::get_if<SgdSettings>(&settings)) {
    isa.sgd(*sgd, param, grad, first, n);
  } else if (const auto* adagrad = std::get_if<AdagradSettings>(&settings)) {
    isa.adagrad(*adagrad, param, grad, first, n);
  } else if (const auto* rmsprop = std::get_if<RmspropSettings>(&settings)) {
    const bool has_momentum = rmsprop->momentum != 0;
    T* const mean = !rmsprop->centered ? nullptr : has_momentum ? kept(u.third) : second;
    isa.rmsprop(*rmsprop, param, grad, first, has_momentum ? second : nullptr, mean, n);
  } else {
    isa.adam(std::get<AdamSettings>(settings), u.step, param, grad, first, second, n);
  }
}

template <class T>
T greatest_of_rows(const T* x, const int32_t* ids, int64_t count, int64_t width) {
  constexpr int64_t rows = 64;  // a unit of work
  const int64_t num_blocks = (count + rows - 1) / rows;
  std::vector<T> found(static_cast<size_t>(num_blocks));
  split(num_blocks, count * width, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      found[static_cast<size_t>(b)] = isa_functions<T>().max_abs_rows(
          x, ids + b * rows, std::min(rows, count - b * rows), width);
    }
  });
  return isa_functions<T>().max_abs(found.data(), num_blocks);
}

// Sums, norms and updates take denormals as separate calls do.
template <class T>
class CpuStepArithmetic final : public StepArithmetic<T> {
 public:
  void fill(T* x, int64_t n, T value) const override { std::fill_n(x, n, value); }

  T sum(const Elements<T>& x) const override {
    const DenormalScope scope(kDType<T>);
    return static_cast<T>(sum_blocks(x, isa_functions<T>().sum));
  }

  double sum_squares(const Elements<T>& x) const override {
    const DenormalScope scope(kDType<T>);
    return sum_blocks(x, isa_functions<T>().sum_squares);
  }

  void scale(T* x, double factor, int64_t n) const override {
    const DenormalScope scope(kDType<T>);
    split(n, n, kUnit, [&](int64_t begin, int64_t end) {
      isa_functions<T>().scale(x + begin, factor, end - begin);
    });
  }

  std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays) const override {
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
        of_block[b] = isa_functions<T>().max_abs(blocks[b].data, blocks[b].n);
      }
    });
    std::vector<T> found;
    size_t begin = 0;
    for (const size_t end : ends) {
      const auto count = static_cast<int64_t>(end - begin);
      found.push_back(isa_functions<T>().max_abs(of_block.data() + begin, count));
      begin = end;
    }
    return found;
  }

  // All parameters at once, because only together small ones are work for several threads.
  void update(const OptimizerSettings& settings,
              const std::vector<DenseUpdate<T>>& updates) const override {
    const DenormalScope scope(kDType<T>);
    int64_t total = 0;
    for (const DenseUpdate<T>& update : updates) total += update.n;
    split(total, total, kUnit, [&](int64_t begin, int64_t end) {
      for (const DenseUpdate<T>& update : updates) {
        const int64_t first = std::max<int64_t>(begin, 0), last = std::min(end, update.n);
        if (first < last) step_at(settings, update, first, first, last - first);
        begin -= update.n;
        end -= update.n;
      }
    });
  }

  void update_rows(const OptimizerSettings& given, const DenseUpdate<T>& update, const int32_t* ids,
                   int64_t count, int64_t width) const override {
    const DenormalScope scope(kDType<T>);
    OptimizerSettings settings = given;
    if (auto* adam = std::get_if<AdamSettings>(&settings)) adam->sparse = true;
    split(count, count * width, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (ids[i] >= 0) step_at(settings, update, ids[i] * width, i * width, width);
      }
    });
  }

  std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                  const DenseUpdate<T>& update, double grad,
                                                  const std::optional<UpdateBounds>& known,
                                                  const int32_t* ids, int64_t count,
                                                  int64_t width) const override {
    const auto greatest = [&](const T* x) -> double {
      if (x == nullptr) return 0;
      return ids == nullptr ? max_abs_each({{x, update.n}}).front()
                            : greatest_of_rows(x, ids, count, width);
    };
    const auto measure = [&]() -> UpdateBounds {
      return {greatest(update.param), greatest(update.first), greatest(update.second)};
    };
    return cavs::bounds_after_update<T>(settings, update.step, grad, known, ids != nullptr,
                                        measure);
  }

  bool begins_with_none(const int32_t* ids, int64_t count) const override {
    return count > 0 && ids[0] < 0;
  }

  bool are_within(const int32_t* ids, int64_t count, int64_t rows) const override {
    return std::all_of(ids, ids + count, [rows](int32_t id) { return id >= 0 && id < rows; });
  }

  int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                     T* rows) const override {
    int64_t count = 0;
    for (int64_t i = 0, j = 0; i < a.count || j < b.count; ++count) {
      const bool from_a = i < a.count && (j == b.count || a.ids[i] <= b.ids[j]);
      const bool from_b = j < b.count && (i == a.count || b.ids[j] <= a.ids[i]);
      ids[count] = from_a ? a.ids[i] : b.ids[j];
      T* row = rows + count * width;
      const T* first = a.rows + i * width;
      const T* second = b.rows + j * width;
      if (from_a && from_b) {
        for (int64_t k = 0; k < width; ++k) row[k] = first[k] + second[k];
      } else {
        std::copy_n(from_a ? first : second, width, row);
      }
      i += from_a ? 1 : 0;
      j += from_b ? 1 : 0;
    }
    return count;
  }

  void add_rows(const RowsView<T>& a, int64_t width, T* whole) const override {
    for (int64_t i = 0; i < a.count; ++i) {
      T* row = whole + a.ids[i] * width;
      const T* part = a.rows + i * width;
      for (int64_t k = 0; k < width; ++k) row[k] += part[k];
    }
  }
};

}  // namespace

template <class T>
const StepArithmetic<T>& cpu_step_arithmetic() {
  return everlasting<CpuStepArithmetic<T>>();
}

template <class T>
void add_scaled(T* x, const T* y, double factor, int64_t n) {
  split(n, n, kUnit, [&](int64_t begin, int64_t end) {
    isa_functions<T>().add_scaled(x + begin, y + begin, factor, end - begin);
  });
}

template const StepArithmetic<float>& cpu_step_arithmetic<float>();
template const StepArithmetic<double>& cpu_step_arithmetic<double>();
template void add_scaled(float*, const float*, double, int64_t);
template void add_scaled(double*, const double*, double, int64_t);

}  // namespace cavs
