// Device functions beside those of the host, denormal numbers under --ftz, and products of cuBLAS.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

const char* const kText = R"(
typedef CAVS_REAL Real;
extern "C" __global__ void arithmetic(const Real* x, Real* out) {
  const Real a = x[0], b = x[1];
  out[0] = a + b;
  out[1] = a * b;
  out[2] = a / b;
  out[3] = fma(a, b, a);
  out[4] = a < b ? 1 : 0;
  out[5] = sqrt(a);
}
extern "C" __global__ void functions(const Real* x, Real* out) {
  const Real a = x[threadIdx.x];
  Real* r = out + threadIdx.x * 16;
  r[0] = exp(a), r[1] = exp2(a), r[2] = expm1(a), r[3] = log(fabs(a)), r[4] = log2(fabs(a));
  r[5] = log1p(fabs(a)), r[6] = pow(fabs(a), Real(1.5)), r[7] = erf(a), r[8] = tanh(a);
  r[9] = copysign(Real(3), a), r[10] = fmin(a, Real(0.5)), r[11] = floor(a), r[12] = rint(a);
  r[13] = max(a, Real(0)), r[14] = isnan(a) ? 1 : isinf(a) ? 2 : isfinite(a) ? 3 : 4;
  r[15] = abs(a);
}
extern "C" __global__ void bits(const double* x, long long* out, double* back) {
  out[0] = __double_as_longlong(x[0]);
  back[0] = __longlong_as_double(out[0]);
  out[1] = static_cast<long long>(__umul64hi(~0ull, ~0ull));
  out[2] = __reduce_max_sync(0xffffffffu, static_cast<int>(threadIdx.x) - 40);
  out[3] = __reduce_min_sync(0xffffffffu, static_cast<int>(threadIdx.x) - 40);
  out[4] = __reduce_add_sync(0xffffffffu, static_cast<int>(threadIdx.x) - 40);
  out[5] = __reduce_max_sync(0xffffffffu, 0xfffffff0u + threadIdx.x / 4);
  out[6] = min(3, 5) + __popcll(255ull) + __clzll(1);
}
)";

template <class T>
class Room {
 public:
  explicit Room(const Stream& stream, const std::vector<T>& values)
      : stream_(stream), count_(values.size()), block_(stream, count_ * sizeof(T)) {
    stream.copy_to_device(block_.address(), values.data(), count_ * sizeof(T));
  }
  Address address() const { return block_.address(); }
  T* data() const { return block_.template as<T>(); }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    stream_.copy_to_host(values.data(), block_.address(), count_ * sizeof(T));
    stream_.synchronize();
    return values;
  }

 private:
  const Stream& stream_;
  size_t count_;
  DeviceBlock block_;
};

std::unique_ptr<Module> load(const char* real, bool flush) {
  KernelSource source;
  source.name = "functions.cu";
  source.text = kText;
  source.options = {std::string("-DCAVS_REAL=") + real};
  if (flush) source.options.emplace_back("--ftz=true");
  OpenGpu& open = open_gpu(0);
  return open.cache.load(source, open.gpu);
}

template <class T>
std::vector<T> arithmetic(const Module& module, T a, T b) {
  const Stream& stream = open_gpu(0).stream;
  const Room<T> x(stream, {a, b}), out(stream, std::vector<T>(6));
  module.kernel("arithmetic").launch(stream, {1, 1, 0}, x.address(), out.address());
  return out.read();
}

// A GPU flushes floats alone, operands and results, and each launch as its module says.
void test_denormals() {
  const auto flushed = load("float", true), kept = load("float", false);
  for (int round = 0; round < 2; ++round) {
    const auto none = arithmetic(*flushed, 1e-39F, 2e-39F);
    const auto all = arithmetic(*kept, 1e-39F, 2e-39F);
    CHECK(none[0] == 0 && all[0] == 1e-39F + 2e-39F);
    CHECK(none[4] == 0 && all[4] == 1);
    CHECK(none[3] == 0 && all[3] == 1e-39F);
    CHECK(none[5] == 0 && all[5] == std::sqrt(1e-39F));
    const auto small = arithmetic(*flushed, 1e-30F, 1e-10F),
               exact = arithmetic(*kept, 1e-30F, 1e-10F);
    CHECK(small[1] == 0 && exact[1] == 1e-30F * 1e-10F);
    CHECK(small[2] == 1e-30F / 1e-10F);
  }
  const auto doubles = load("double", true);
  CHECK(arithmetic(*doubles, 1e-310, 2e-310)[0] == 1e-310 + 2e-310);
}

template <class T>
void check_functions(const char* name) {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> x = {T(0.3), T(-1.7), T(2.5), T(0), T(-0.0), inf, nan, T(1e-40)};
  const auto module = load(name, false);
  const Stream& stream = open_gpu(0).stream;
  const Room<T> in(stream, x), out(stream, std::vector<T>(x.size() * 16));
  module->kernel("functions")
      .launch(stream, {1, static_cast<unsigned>(x.size()), 0}, in.address(), out.address());
  const auto found = out.read();
  for (size_t i = 0; i < x.size(); ++i) {
    const T a = x[i], kind = std::isnan(a) ? 1 : std::isinf(a) ? 2 : 3;
    const T wanted[16] = {std::exp(a),
                          std::exp2(a),
                          std::expm1(a),
                          std::log(std::fabs(a)),
                          std::log2(std::fabs(a)),
                          std::log1p(std::fabs(a)),
                          std::pow(std::fabs(a), T(1.5)),
                          std::erf(a),
                          std::tanh(a),
                          std::copysign(T(3), a),
                          std::fmin(a, T(0.5)),
                          std::floor(a),
                          std::rint(a),
                          std::fmax(a, T(0)),
                          kind,
                          std::fabs(a)};
    for (size_t j = 0; j < 16; ++j) {
      const T apart = std::fabs(found[i * 16 + j] - wanted[j]);
      const bool same = found[i * 16 + j] == wanted[j] ||
                        (std::isnan(found[i * 16 + j]) && std::isnan(wanted[j])) ||
                        apart <= 4 * std::numeric_limits<T>::epsilon() * std::fabs(wanted[j]);
      if (!same) {
        cavs_test::report(__FILE__, __LINE__,
                          std::string(name) + " function " + std::to_string(j) + " of " +
                              std::to_string(a) + " is " + std::to_string(found[i * 16 + j]));
      }
    }
  }
}

void test_bits() {
  const Stream& stream = open_gpu(0).stream;
  const auto module = load("float", false);
  const Room<double> x(stream, {-2.5}), back(stream, {0});
  const Room<long long> out(stream, std::vector<long long>(7));
  module->kernel("bits").launch(stream, {1, 32, 0}, x.address(), out.address(), back.address());
  const auto found = out.read();
  const double value = -2.5;
  long long bits = 0;
  std::memcpy(&bits, &value, 8);
  CHECK(found[0] == bits && back.read()[0] == value);
  CHECK(found[1] == -2);
  CHECK(found[2] == -9 && found[3] == -40 && found[4] == 31 * 16 - 32 * 40);
  CHECK(found[5] == 0xfffffff7LL && found[6] == 3 + 8 + 63);
}

// Column-major products of a batch, beside plain loops.
template <class T, class Call>
void check_batch(const Call& call) {
  const int m = 5, n = 3, k = 4, count = 6;
  std::vector<T> a(m * k * count), b(k * n * count);
  for (size_t i = 0; i < a.size(); ++i) a[i] = T(i % 7) - 3;
  for (size_t i = 0; i < b.size(); ++i) b[i] = T(i % 5) - 2;
  const Stream& stream = open_gpu(0).stream;
  const Room<T> da(stream, a), db(stream, b), dc(stream, std::vector<T>(m * n * count, T(1)));
  BlasHandle handle = nullptr;
  CHECK(blas().cublasCreate(&handle) == 0);
  CHECK(blas().cublasSetStream(handle, stream.handle()) == 0);
  const T alpha = 2, beta = 3;
  const auto multiply = [&](long long stride_c, int batch) {
    return call(handle, 0, 0, m, n, k, &alpha, da.data(), m, m * k, db.data(), k, k * n, &beta,
                dc.data(), m, stride_c, batch);
  };
  CHECK(multiply(m * n, count) == 0);
  const auto found = dc.read();
  for (int s = 0; s < count; ++s) {
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) {
        T sum = 0;
        for (int p = 0; p < k; ++p) sum += a[s * m * k + p * m + i] * b[s * k * n + j * k + p];
        CHECK(found[static_cast<size_t>(s * m * n + j * m + i)] == 2 * sum + 3);
      }
    }
  }
  CHECK(multiply(0, count) != 0);          // results that overlap
  CHECK(multiply(m * n, count + 1) != 0);  // past the memory
  CHECK(call(handle, 0, 0, m, n, k, dc.data(), da.data(), m, m * k, db.data(), k, k * n, &beta,
             dc.data(), m, m * n, count) != 0);  // a factor on the device
  // A graph must not allocate: the workspace is the caller's, and set after the stream.
  const DeviceBlock room(stream, 1 << 10);
  Result code = 0;
  stream.capture([&] { code = multiply(m * n, count); });
  CHECK(is_emulated() ? code != 0 : true);
  CHECK(blas().cublasSetWorkspace(handle, room.as<void>(), room.bytes()) == 0);
  stream.capture([&] { code = multiply(m * n, count); });
  CHECK(code == 0);
  blas().cublasDestroy(handle);
}

// With TF32 the inputs lose 13 bits of their fraction.
void test_tf32() {
  const Stream& stream = open_gpu(0).stream;
  const Room<float> a(stream, {1.0F + 1.0F / 4096}), b(stream, {1}), c(stream, {0});
  BlasHandle handle = nullptr;
  CHECK(blas().cublasCreate(&handle) == 0);
  CHECK(blas().cublasSetStream(handle, stream.handle()) == 0);
  const float one = 1, zero = 0;
  const auto multiply = [&](int mode) {
    CHECK(blas().cublasSetMathMode(handle, mode) == 0);
    CHECK(blas().cublasSgemm(handle, 0, 0, 1, 1, 1, &one, a.data(), 1, b.data(), 1, &zero, c.data(),
                             1) == 0);
    return c.read()[0];
  };
  CHECK(multiply(0) == 1.0F + 1.0F / 4096);
  CHECK(!is_emulated() || multiply(3) == 1.0F);
  CHECK(multiply(0) == 1.0F + 1.0F / 4096);
  int version = 0;
  CHECK(blas().cublasGetVersion(handle, &version) == 0 && version >= 120000);
  blas().cublasDestroy(handle);
}

}  // namespace

int main() {
  test_denormals();
  check_functions<float>("float");
  check_functions<double>("double");
  test_bits();
  check_batch<float>(
      [](auto... arguments) { return blas().cublasSgemmStridedBatched(arguments...); });
  check_batch<double>(
      [](auto... arguments) { return blas().cublasDgemmStridedBatched(arguments...); });
  test_tf32();
  return cavs_test::result();
}
