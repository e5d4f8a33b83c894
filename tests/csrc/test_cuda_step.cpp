// The arithmetic of training steps on a GPU against that of the CPU.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/denormals.h"
#include "check.h"
#include "cpu/kernel.h"
#include "cpu/step_arithmetic.h"
#include "cuda/code/kernel_texts.h"
#include "cuda/code/library.h"
#include "cuda/step/step_arithmetic.h"
#include "cuda_arrays.h"
#include "runtime/backend.h"
#include "runtime/later_step.h"

using namespace cavs;
using cavs_test::DeviceArray;
using cuda::CudaStepArithmetic;
using cuda::open_gpu;
using cuda::Stream;

namespace {

using Engine = std::mt19937;

int pick(Engine& engine, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(engine);
}

template <class T>
std::vector<T> random_array(Engine& engine, int64_t n) {
  std::normal_distribution<double> normal(0, 1);
  std::vector<T> x(static_cast<size_t>(n));
  for (T& value : x) value = static_cast<T>(normal(engine));
  return x;
}

std::vector<int> random_ids(Engine& engine, int count, int rows) {
  std::vector<int> ids(static_cast<size_t>(rows));
  for (int i = 0; i < rows; ++i) ids[static_cast<size_t>(i)] = i;
  std::shuffle(ids.begin(), ids.end(), engine);
  ids.resize(static_cast<size_t>(count));
  std::sort(ids.begin(), ids.end());
  return ids;
}

const Stream& stream() { return open_gpu(0).stream; }

template <class T>
const CudaStepArithmetic<T>& on_device() {
  static const auto* const arithmetic = new CudaStepArithmetic<T>(open_gpu(0));
  return *arithmetic;
}

// The same bits, where the CPU's products round once; elsewhere about half of the digits, since
// RMSprop takes differences.
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  const double bound =
      instruction_set() == "generic" ? std::sqrt(std::numeric_limits<T>::epsilon()) : 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) == 0) continue;
    if (!(std::fabs(a[i] - b[i]) <= bound * std::max<double>(1, std::fabs(a[i])))) return false;
  }
  return a.size() == b.size();
}

struct Optimizer {
  const char* name;
  OptimizerSettings settings;
  int states;
};

std::vector<Optimizer> optimizers() {
  AdamSettings adam{0.01, 0.9, 0.999, 1e-8, 0.02, false, false}, adamw = adam, plain = adam;
  adamw.decoupled = true;
  plain.weight_decay = 0;
  return {{"sgd", SgdSettings{0.1, 0, 0.01, false}, 0},
          {"momentum", SgdSettings{0.1, 0.9, 0.01, false}, 1},
          {"nesterov", SgdSettings{0.1, 0.9, 0.01, true}, 1},
          {"adagrad", AdagradSettings{0.1, 1e-10, 0.01}, 1},
          {"adam", adam, 2},
          {"adamw", adamw, 2},
          {"adam without decay", plain, 2},
          {"rmsprop", RmspropSettings{0.01, 0.99, 1e-8, 0.01, 0, false}, 1},
          {"rmsprop, momentum", RmspropSettings{0.01, 0.99, 1e-8, 0.01, 0.9, false}, 2},
          {"rmsprop, centered", RmspropSettings{0.01, 0.99, 1e-8, 0.01, 0, true}, 2},
          {"rmsprop, both", RmspropSettings{0.01, 0.99, 1e-8, 0.01, 0.9, true}, 3}};
}

// A parameter, its gradient and states, on the host and on the device.
template <class T>
struct Parameter {
  std::vector<std::vector<T>> host;
  std::vector<std::unique_ptr<DeviceArray<T>>> device;
  int64_t step = 1;

  Parameter(Engine& engine, int64_t n, int64_t grads, int states) {
    host.push_back(random_array<T>(engine, n));
    host.push_back(random_array<T>(engine, grads));
    for (int i = 0; i < states; ++i) {
      host.push_back(random_array<T>(engine, n));
      for (T& x : host.back()) x = std::fabs(x);
    }
    for (const auto& array : host) {
      device.push_back(std::make_unique<DeviceArray<T>>(stream(), array, 1));
    }
  }

  T* host_array(size_t i) { return i < host.size() ? host[i].data() : nullptr; }
  T* device_array(size_t i) const { return i < device.size() ? device[i]->data() : nullptr; }
  int64_t size() const { return static_cast<int64_t>(host[0].size()); }
  DenseUpdate<T> on_host() {
    return {host_array(0), host_array(1), host_array(2), host_array(3),
            size(),        step,          host_array(4)};
  }
  DenseUpdate<T> on_device() const {
    return {device_array(0), device_array(1), device_array(2), device_array(3), size(), step,
            device_array(4)};
  }

  void check(const std::string& what) const {
    for (size_t i = 0; i < host.size(); ++i) {
      if (same(host[i], device[i]->read())) continue;
      cavs_test::report(__FILE__, __LINE__, what + ", array " + std::to_string(i));
    }
  }
};

template <class T>
void test_updates() {
  Engine engine(1);
  for (const Optimizer& optimizer : optimizers()) {
    std::vector<Parameter<T>> params;
    std::vector<DenseUpdate<T>> host, device;
    // More than a list holds, some empty, some of several tiles.
    const int count = optimizer.states == 2 ? 80 : 5;
    for (int i = 0; i < count; ++i) {
      const int n = i == 3 ? 5000 : i == 2 ? 0 : pick(engine, 1, 40);
      params.emplace_back(engine, n, n, optimizer.states);
      params.back().step = i % 3 + 1;
    }
    for (auto& param : params) {
      host.push_back(param.on_host());
      device.push_back(param.on_device());
    }
    cpu_step_arithmetic<T>().update(optimizer.settings, host);
    on_device<T>().update(optimizer.settings, device);
    for (const auto& param : params) param.check(optimizer.name);
  }
}

template <class T>
void test_updates_of_rows() {
  Engine engine(2);
  for (const int width : {1, 7, 64, 300}) {
    for (const Optimizer& optimizer : optimizers()) {
      std::vector<int> ids = random_ids(engine, 20, 50);
      ids[0] = -1;
      Parameter<T> param(engine, 50 * width, 20 * width, optimizer.states);
      param.step = 3;
      const DeviceArray<int> there(stream(), ids);
      cpu_step_arithmetic<T>().update_rows(optimizer.settings, param.on_host(), ids.data(), 20,
                                           width);
      on_device<T>().update_rows(optimizer.settings, param.on_device(), there.data(), 20, width);
      param.check(std::string(optimizer.name) + ", rows of " + std::to_string(width));
    }
  }
}

template <class T>
bool close(double a, double b) {
  return std::fabs(a - b) <= 1e-12 * std::max(1.0, std::fabs(a));
}

template <class T>
void test_sums_and_norms() {
  Engine engine(3);
  for (const int n : {0, 1, 255, 4097, 100'003}) {
    const std::vector<T> x = random_array<T>(engine, n);
    const DeviceArray<T> there(stream(), x, 1);
    const Elements<T> host{x.data(), n}, device{there.data(), n};
    const double sum = on_device<T>().sum(device);
    const double unit = std::max<double>(std::numeric_limits<T>::epsilon(), 1e-12);
    CHECK(std::fabs(sum - cpu_step_arithmetic<T>().sum(host)) <= unit * (1 + std::fabs(sum)));
    const double squares = on_device<T>().sum_squares(device);
    CHECK(close<T>(squares, cpu_step_arithmetic<T>().sum_squares(host)));
    CHECK(on_device<T>().sum_squares(device) == squares);
  }
}

// Large elements do not overflow, small ones are not dropped.
void test_sums_are_of_doubles() {
  const std::vector<float> x = {1e30F, 1.0F, -1e30F, 2e20F};
  const DeviceArray<float> there(stream(), x);
  CHECK(on_device<float>().sum_squares({there.data(), 4}) > 1e59);
  const std::vector<float> ones(1 << 20, 1.0F);
  const DeviceArray<float> many(stream(), ones);
  CHECK(on_device<float>().sum({many.data(), 1 << 20}) == static_cast<float>(1 << 20));
}

template <class T>
void test_fill_scale_and_add() {
  Engine engine(4);
  for (const int n : {0, 1, 3000}) {
    std::vector<T> x = random_array<T>(engine, n);
    const DeviceArray<T> there(stream(), x);
    cpu_step_arithmetic<T>().scale(x.data(), 0.3, n);
    on_device<T>().scale(there.data(), 0.3, n);
    CHECK(same(x, there.read()));
    on_device<T>().fill(there.data(), n, T(2.5));
    CHECK(there.read() == std::vector<T>(static_cast<size_t>(n), T(2.5)));
  }
}

template <class T>
void test_greatest_magnitudes() {
  using Limits = std::numeric_limits<T>;
  Engine engine(5);
  std::vector<std::vector<T>> arrays(80);
  for (size_t i = 0; i < arrays.size(); ++i) {
    arrays[i] = random_array<T>(engine, i == 7 ? 5000 : static_cast<int>(i) % 5);
  }
  arrays[7][4000] = -T(1e20);
  arrays[8][1] = -Limits::infinity();
  arrays[9] = {Limits::infinity(), Limits::quiet_NaN(), 1};
  std::vector<std::unique_ptr<DeviceArray<T>>> kept;
  std::vector<Elements<T>> host, device;
  for (const auto& x : arrays) {
    kept.push_back(std::make_unique<DeviceArray<T>>(stream(), x));
    host.push_back({x.data(), static_cast<int64_t>(x.size())});
    device.push_back({kept.back()->data(), static_cast<int64_t>(x.size())});
  }
  const std::vector<T> expected = cpu_step_arithmetic<T>().max_abs_each(host);
  const std::vector<T> got = on_device<T>().max_abs_each(device);
  CHECK(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i])));
  }
  CHECK(on_device<T>().max_abs_each({}).empty());
}

bool same_bounds(const std::optional<UpdateBounds>& a, const std::optional<UpdateBounds>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->param == b->param && a->first == b->first && a->second == b->second;
}

template <class T>
void test_bounds_after_updates() {
  Engine engine(6);
  const std::optional<UpdateBounds> known = UpdateBounds{1, 2, 3};
  const std::optional<UpdateBounds> wide = UpdateBounds{1e300, 1e300, 1e300};
  for (const Optimizer& optimizer : optimizers()) {
    Parameter<T> param(engine, 50 * 7, 20 * 7, optimizer.states);
    const std::vector<int> ids = random_ids(engine, 20, 50);
    const DeviceArray<int> there(stream(), ids);
    for (const auto& before : {std::optional<UpdateBounds>(), known, wide}) {
      for (const double grad : {0.5, 1e200, std::numeric_limits<double>::infinity()}) {
        const auto of = [&](const auto& arithmetic, const DenseUpdate<T>& update, const int* rows) {
          return arithmetic.bounds_after_update(optimizer.settings, update, grad, before, rows,
                                                rows == nullptr ? 0 : 20, 7);
        };
        CHECK(same_bounds(of(cpu_step_arithmetic<T>(), param.on_host(), nullptr),
                          of(on_device<T>(), param.on_device(), nullptr)));
        CHECK(same_bounds(of(cpu_step_arithmetic<T>(), param.on_host(), ids.data()),
                          of(on_device<T>(), param.on_device(), there.data())));
      }
    }
  }
}

void test_ids() {
  const auto& arithmetic = on_device<float>();
  const auto array = [](const std::vector<int>& ids) { return DeviceArray<int>(stream(), ids); };
  const auto none_first = array({-1, 3, 7}), from_zero = array({0, 3, 7});
  CHECK(arithmetic.begins_with_none(none_first.data(), 3));
  CHECK(!arithmetic.begins_with_none(from_zero.data(), 3));
  CHECK(!arithmetic.begins_with_none(nullptr, 0));
  CHECK(arithmetic.are_within(from_zero.data(), 3, 8));
  CHECK(!arithmetic.are_within(from_zero.data(), 3, 7));
  CHECK(!arithmetic.are_within(none_first.data(), 3, 8));
  CHECK(arithmetic.are_within(from_zero.data(), 0, 0));
}

template <class T>
void test_sums_of_matrices_given_by_rows() {
  Engine engine(7);
  for (int trial = 0; trial < 12; ++trial) {
    const int width = trial % 2 == 0 ? 3 : 70, rows = 400;
    const int a_count = trial == 0 ? 0 : trial == 1 ? 300 : pick(engine, 0, 40);
    const int b_count = trial == 0 ? 0 : trial == 2 ? 300 : pick(engine, 0, 40);
    const std::vector<int> a_ids = random_ids(engine, a_count, rows),
                           b_ids = random_ids(engine, b_count, trial % 3 == 0 ? 45 : rows);
    const auto a = random_array<T>(engine, a_count * width);
    const auto b = random_array<T>(engine, b_count * width);
    const auto most = static_cast<size_t>(a_count + b_count);
    std::vector<int> ids(most);
    std::vector<T> sum(most * static_cast<size_t>(width));
    const int64_t count = cpu_step_arithmetic<T>().merge_rows({a_ids.data(), a.data(), a_count},
                                                              {b_ids.data(), b.data(), b_count},
                                                              width, ids.data(), sum.data());
    for (size_t i = static_cast<size_t>(count); i < most; ++i) ids[i] = -1;

    const DeviceArray<int> da_ids(stream(), a_ids), db_ids(stream(), b_ids);
    const DeviceArray<T> da(stream(), a), db(stream(), b);
    const DeviceArray<int> d_ids(stream(), std::vector<int>(most, 77));
    const DeviceArray<T> d_sum(stream(), std::vector<T>(sum.size(), T(77)));
    CHECK(on_device<T>().merge_rows({da_ids.data(), da.data(), a_count},
                                    {db_ids.data(), db.data(), b_count}, width, d_ids.data(),
                                    d_sum.data()) == count);
    CHECK(d_ids.read() == ids);
    CHECK(same(sum, d_sum.read()));

    auto whole = random_array<T>(engine, rows * width);
    const DeviceArray<T> d_whole(stream(), whole);
    cpu_step_arithmetic<T>().add_rows({a_ids.data(), a.data(), a_count}, width, whole.data());
    on_device<T>().add_rows({da_ids.data(), da.data(), a_count}, width, d_whole.data());
    CHECK(same(whole, d_whole.read()));
  }
}

// A step that nobody waits for, against the same calls on the CPU.
template <class T>
void test_step(double loss_scale, double clip_norm, T bad_loss, T bad_grad) {
  Engine engine(8);
  std::vector<T> loss = random_array<T>(engine, 33);
  if (bad_loss != 0) loss[30] = bad_loss;
  const int width = 5;
  const AdamSettings settings{0.01, 0.9, 0.999, 1e-8, 0.02, false, false};
  std::vector<Parameter<T>> params;
  for (const int n : {1000, 6, 9000}) params.emplace_back(engine, n, n, 2);
  Parameter<T> sparse(engine, 50 * width, 20 * width, 2);
  if (bad_grad != 0) {
    params[1].host[1][2] = bad_grad;
    params[1].device[1] = std::make_unique<DeviceArray<T>>(stream(), params[1].host[1]);
  }
  const std::vector<int> ids = random_ids(engine, 20, 50);
  const DeviceArray<int> there(stream(), ids);
  const DeviceArray<T> device_loss(stream(), loss);

  std::vector<DenseUpdate<T>> host_updates, device_updates;
  std::vector<Elements<T>> gradients;
  for (auto& param : params) {
    host_updates.push_back(param.on_host());
    device_updates.push_back(param.on_device());
    gradients.push_back({param.device_array(1), param.size()});
  }
  gradients.push_back({sparse.device_array(1), 20 * width});

  std::shared_ptr<StepOutcome> outcome;
  for (int run = 0; run < 2; ++run) {  // the second begins anew, in the same memory
    const auto step = cuda_backend(0).later_step(T());
    step->take_loss({device_loss.data(), 33}, loss_scale);
    if (run == 0) continue;
    step->clip(gradients, clip_norm);
    step->update(settings, device_updates);
    step->update_rows(settings, sparse.on_device(), there.data(), 20, width);
    outcome = step->outcome();
  }
  const double got_loss = outcome->loss(), got_norm = outcome->norm();
  CHECK(outcome->is_known());

  const auto& cpu = cpu_step_arithmetic<T>();
  const T expected_loss = cpu.sum({loss.data(), 33}) * static_cast<T>(loss_scale);
  CHECK(bad_loss != 0
            ? !std::isfinite(got_loss)
            : close<T>(got_loss, expected_loss) || static_cast<T>(got_loss) == expected_loss);
  double squares = 0;
  for (auto& param : params) squares += cpu.sum_squares({param.host_array(1), param.size()});
  squares += cpu.sum_squares({sparse.host_array(1), 20 * width});
  const double norm = std::sqrt(squares);
  const bool finite = bad_loss == 0 && bad_grad == 0;
  CHECK((std::isfinite(got_loss) && std::isfinite(got_norm)) == finite);
  if (bad_loss == 0) CHECK(bad_grad != 0 ? !std::isfinite(got_norm) : close<T>(got_norm, norm));
  if (finite) {
    if (clip_norm != 0 && norm > clip_norm) {
      for (auto& param : params) cpu.scale(param.host_array(1), clip_norm / got_norm, param.size());
      cpu.scale(sparse.host_array(1), clip_norm / got_norm, 20 * width);
    }
    cpu.update(settings, host_updates);
    cpu.update_rows(settings, sparse.on_host(), ids.data(), 20, width);
  }
  for (const auto& param : params) param.check("step");
  sparse.check("step, rows");
}

template <class T>
void test_steps() {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  test_step<T>(1, 0, 0, 0);
  test_step<T>(0.25, 1, 0, 0);
  test_step<T>(0.25, 1e6, 0, 0);
  test_step<T>(1, 1, nan, 0);
  test_step<T>(1, 1, infinity, 0);
  test_step<T>(1, 1, 0, nan);
  test_step<T>(1, 1, 0, -infinity);
  test_step<T>(1, 0, 0, infinity);
}

// More arrays than a list holds are summed up in several launches.
void test_norm_of_many_arrays() {
  Engine engine(9);
  std::vector<std::unique_ptr<DeviceArray<float>>> kept;
  std::vector<std::vector<float>> before;
  std::vector<Elements<float>> gradients;
  double squares = 0;
  for (int i = 0; i < 100; ++i) {
    const auto x = random_array<float>(engine, pick(engine, 0, 20));
    for (const float value : x) squares += static_cast<double>(value) * value;
    kept.push_back(std::make_unique<DeviceArray<float>>(stream(), x));
    gradients.push_back({kept.back()->data(), static_cast<int64_t>(x.size())});
    before.push_back(x);
  }
  const auto step = cuda_backend(0).later_step(float());
  step->clip(gradients, 1);
  CHECK(close<float>(step->outcome()->norm(), std::sqrt(squares)));
  for (size_t i = 0; i < before.size(); ++i) {
    for (float& value : before[i]) value *= static_cast<float>(1 / std::sqrt(squares));
    CHECK(same(before[i], kept[i]->read()));
  }
}

// The steps of a captured step run as often as its graph.
void test_a_step_can_be_captured() {
  Engine engine(10);
  Parameter<float> param(engine, 3000, 3000, 1);
  const SgdSettings settings{0.1, 0.9, 0.01, false};
  const auto step = cuda_backend(0).later_step(float());
  const std::vector<Elements<float>> gradients = {{param.device_array(1), param.size()}};
  const auto work = [&] {
    step->clip(gradients, 0);
    step->update(settings, {param.on_device()});
  };
  work();  // loads the kernels
  const auto graph = stream().capture(work);
  for (int i = 0; i < 3; ++i) stream().launch(*graph);
  for (int i = 0; i < 4; ++i) {
    cpu_step_arithmetic<float>().update(settings, {param.on_host()});
  }
  param.check("captured");
}

template <class T>
void test_all() {
  test_updates<T>();
  test_updates_of_rows<T>();
  test_sums_and_norms<T>();
  test_fill_scale_and_add<T>();
  test_greatest_magnitudes<T>();
  test_bounds_after_updates<T>();
  test_sums_of_matrices_given_by_rows<T>();
  test_steps<T>();
}

// With the architectures of GPUs as arguments ("sm_90"): whether NVRTC compiles the kernels for
// them, which needs no GPU.
void check_compiles(const std::string& architecture) {
  for (const char* unit : {"arrays.cu", "optimizers.cu", "row_sparse.cu"}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      cuda::KernelSource source;
      source.name = unit;
      source.text = cuda::kernel_text(unit);
      source.headers = cuda::kernel_headers();
      source.options = cuda::options_of(dtype, true);
      CHECK(!cuda::compile(source, architecture).empty());
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) check_compiles(arguments[i]);
  if (count > 1) return cavs_test::result();
  test_all<float>();
  test_all<double>();
  test_sums_are_of_doubles();
  test_ids();
  test_norm_of_many_arrays();
  test_a_step_can_be_captured();
  return cavs_test::result();
}
