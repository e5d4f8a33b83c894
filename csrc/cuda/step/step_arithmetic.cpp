// Computes the sums, norms and updates of a training step with kernels of the device.
#include "cuda/step/step_arithmetic.h"

#include <cstddef>

#include "cuda/step/step_launches.h"
#include "runtime/update_bounds.h"

namespace cavs::cuda {
namespace {

// Numbers that a kernel leaves for the host.
template <class N>
class Answer {
 public:
  Answer(const Stream& stream, size_t count)
      : stream_(stream), numbers_(count), block_(stream, std::max<size_t>(1, count) * sizeof(N)) {
    stream.clear(block_.address(), count * sizeof(N));
  }
  N* address() const { return block_.as<N>(); }
  // Waits for all work on the stream.
  const std::vector<N>& read() {
    stream_.copy_to_host(numbers_.data(), block_.address(), numbers_.size() * sizeof(N));
    stream_.synchronize();
    return numbers_;
  }

 private:
  const Stream& stream_;
  std::vector<N> numbers_;
  DeviceBlock block_;
};

template <class T>
double sum_of(OpenGpu& open, const Elements<T>& x, bool squares) {
  const StepLaunches<T> launches(open);
  const DeviceBlock block(launches.stream, sizeof(StepMemory));
  launches.stream.clear(block.address(), offsetof(StepMemory, parts));
  launches.sum({x}, squares, Total::kNothing, 0, block.as<StepMemory>());
  double sum = 0;
  launches.stream.copy_to_host(&sum, block.address() + offsetof(StepMemory, state.sum),
                               sizeof(sum));
  launches.stream.synchronize();
  return sum;
}

template <class T>
unsigned blocks_for_elements(const StepLaunches<T>& launches, int64_t n) {
  return blocks_for(launches.library, n, kThreads);
}

}  // namespace

template <class T>
void CudaStepArithmetic<T>::fill(T* x, int64_t n, T value) const {
  if (n == 0) return;
  const StepLaunches<T> to(open_);
  to.library.kernel("arrays", "fill")
      .launch(to.stream, {blocks_for_elements(to, n), kThreads, 0}, x, static_cast<long long>(n),
              value);
}

template <class T>
T CudaStepArithmetic<T>::sum(const Elements<T>& x) const {
  return static_cast<T>(sum_of(open_, x, false));
}

template <class T>
double CudaStepArithmetic<T>::sum_squares(const Elements<T>& x) const {
  return sum_of(open_, x, true);
}

template <class T>
void CudaStepArithmetic<T>::scale(T* x, double factor, int64_t n) const {
  StepLaunches<T>(open_).scale({{x, n}}, factor, nullptr, nullptr);
}

template <class T>
std::vector<T> CudaStepArithmetic<T>::max_abs_each(const std::vector<Elements<T>>& arrays) const {
  if (arrays.empty()) return {};
  const StepLaunches<T> launches(open_);
  Answer<T> found(launches.stream, arrays.size());
  launches.greatest(arrays, found.address());
  return found.read();
}

template <class T>
void CudaStepArithmetic<T>::update(const OptimizerSettings& settings,
                                   const std::vector<DenseUpdate<T>>& updates) const {
  StepLaunches<T>(open_).update(settings, updates, nullptr);
}

template <class T>
void CudaStepArithmetic<T>::update_rows(const OptimizerSettings& settings,
                                        const DenseUpdate<T>& update, const int32_t* ids,
                                        int64_t count, int64_t width) const {
  StepLaunches<T>(open_).update_rows(settings, update, ids, count, width, nullptr);
}

template <class T>
std::optional<UpdateBounds> CudaStepArithmetic<T>::bounds_after_update(
    const OptimizerSettings& settings, const DenseUpdate<T>& update, double grad,
    const std::optional<UpdateBounds>& known, const int32_t* ids, int64_t count,
    int64_t width) const {
  const auto measure = [&]() -> UpdateBounds {
    const StepLaunches<T> launches(open_);
    const T* const arrays[] = {update.param, update.first, update.second};
    Answer<T> found(launches.stream, std::size(arrays));
    if (ids == nullptr) {
      std::vector<Elements<T>> all;
      for (const T* x : arrays) all.push_back({x, x == nullptr ? 0 : update.n});
      launches.greatest(all, found.address());
    } else if (count > 0 && width > 0) {
      GreatestRowsCall<T> call;
      std::copy(std::begin(arrays), std::end(arrays), call.arrays);
      call.ids = ids;
      call.out = found.address();
      set_rows(&call, count, width);
      launch(launches.library, launches.stream, "arrays", "greatest_of_rows",
             blocks_for(launches.library, call.rows, call.tiling), call);
    }
    const std::vector<T>& read = found.read();
    return {read[0], read[1], read[2]};
  };
  return cavs::bounds_after_update<T>(settings, update.step, grad, known, ids != nullptr, measure);
}

template <class T>
bool CudaStepArithmetic<T>::begins_with_none(const int32_t* ids, int64_t count) const {
  if (count == 0) return false;
  const Stream& stream = current_stream(open_);
  int32_t first = 0;
  stream.copy_to_host(&first, reinterpret_cast<Address>(ids), sizeof(first));
  stream.synchronize();
  return first < 0;
}

template <class T>
bool CudaStepArithmetic<T>::are_within(const int32_t* ids, int64_t count, int64_t rows) const {
  if (count == 0) return true;
  const StepLaunches<T> to(open_);
  Answer<int> outside(to.stream, 1);
  to.library.kernel("arrays", "find_outside")
      .launch(to.stream, {blocks_for_elements(to, count), kThreads, 0}, ids,
              static_cast<int>(count), static_cast<long long>(rows), outside.address());
  return outside.read()[0] == 0;
}

template <class T>
int64_t CudaStepArithmetic<T>::merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width,
                                          int32_t* ids, T* rows) const {
  const StepLaunches<T> to(open_);
  const auto last = static_cast<size_t>(a.count);
  const DeviceBlock before(to.stream, (last + 1) * sizeof(int32_t));
  to.merge_rows(a, b, width, ids, rows, before.as<int32_t>());
  int32_t common = 0;
  to.stream.copy_to_host(&common, before.address() + last * sizeof(int32_t), sizeof(common));
  to.stream.synchronize();
  return a.count + b.count - common;
}

template <class T>
void CudaStepArithmetic<T>::add_rows(const RowsView<T>& a, int64_t width, T* whole) const {
  if (a.count == 0 || width == 0) return;
  const StepLaunches<T> to(open_);
  AddRowsCall<T> call;
  call.ids = a.ids;
  call.part = a.rows;
  call.whole = whole;
  set_rows(&call, a.count, width);
  launch(to.library, to.stream, "row_sparse", "add_rows",
         blocks_for(to.library, call.rows, call.tiling), call);
}

template class CudaStepArithmetic<float>;
template class CudaStepArithmetic<double>;

}  // namespace cavs::cuda
