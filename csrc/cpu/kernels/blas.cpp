// Opens OpenBLAS, calls its products, and finds its other functions.
#include "cpu/kernels/blas.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "base/error.h"
#include "base/everlasting.h"

namespace cavs {
namespace {

// The C interface of BLAS: enumerations have fixed values, sizes are 32-bit integers.
constexpr int kRowMajor = 101;
constexpr int kNoTranspose = 111;
constexpr int kTranspose = 112;

template <class T>
using Gemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                      const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc);

std::atomic<Gemm<float>> single_gemm{nullptr};
std::atomic<Gemm<double>> double_gemm{nullptr};
std::atomic<void*> loaded_library{nullptr};

struct Known {
  std::mutex mutex;
  std::string path;
};

void* find_symbol(void* library, const std::string& name) {
  for (const char* prefix : {"scipy_", ""}) {
    void* symbol = dlsym(library, (prefix + name).c_str());
    if (symbol != nullptr) return symbol;
  }
  return nullptr;
}

template <class T>
void call_gemm(const std::atomic<Gemm<T>>& function, bool transpose_a, bool transpose_b, int64_t m,
               int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c,
               int64_t ldc) {
  require_blas();
  const Gemm<T> gemm_function = function.load(std::memory_order_acquire);
  if (m == 0 || n == 0) return;
  constexpr int64_t limit = 0x7fffffff;
  CAVS_CHECK(m <= limit && n <= limit && k <= limit && lda <= limit && ldb <= limit && ldc <= limit,
             ErrorKind::kShape, "[blas] expected sizes below 2^31, got a product of ", m, " x ", k,
             " and ", k, " x ", n, "; use smaller batches");
  const auto narrow = [](int64_t value) { return static_cast<int>(value < 1 ? 1 : value); };
  gemm_function(kRowMajor, transpose_a ? kTranspose : kNoTranspose,
                transpose_b ? kTranspose : kNoTranspose, static_cast<int>(m), static_cast<int>(n),
                static_cast<int>(k), T(1), a, narrow(lda), b, narrow(ldb), beta, c, narrow(ldc));
}

// OpenBLAS starts a thread for each core when it is loaded, and complains, or ends the process,
// where it gets none. Here it works in the caller's thread alone, so it is told to start none.
void* open_without_threads(const std::string& path) {
  constexpr const char* kVariable = "OPENBLAS_NUM_THREADS";
  const char* before = std::getenv(kVariable);
  const std::string kept = before == nullptr ? "" : before;
  setenv(kVariable, "1", 1);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (before == nullptr) {
    unsetenv(kVariable);
  } else {
    setenv(kVariable, kept.c_str(), 1);
  }
  return library;
}

}  // namespace

void load_blas(const std::string& path) {
  void* library = open_without_threads(path);
  if (library == nullptr) {
    const char* reason = dlerror();
    fail(ErrorKind::kRuntime, "[blas] expected a shared library at ", path,
         ", got the error: ", reason == nullptr ? "no reason given" : reason,
         "; reinstall scipy-openblas32");
  }
  const auto single = reinterpret_cast<Gemm<float>>(find_symbol(library, "cblas_sgemm"));
  const auto twice = reinterpret_cast<Gemm<double>>(find_symbol(library, "cblas_dgemm"));
  CAVS_CHECK(single != nullptr && twice != nullptr, ErrorKind::kRuntime,
             "[blas] expected cblas_sgemm and cblas_dgemm in ", path,
             ", got a library without them; give the path of a CBLAS library");
  const auto set_threads =
      reinterpret_cast<void (*)(int)>(find_symbol(library, "openblas_set_num_threads"));
  if (set_threads != nullptr) set_threads(1);
  loaded_library.store(library, std::memory_order_release);
  single_gemm.store(single, std::memory_order_release);
  double_gemm.store(twice, std::memory_order_release);
}

void set_blas_path(const std::string& path) {
  auto& known = everlasting<Known>();
  const std::lock_guard<std::mutex> lock(known.mutex);
  known.path = path;
}

void load_known_blas() {
  if (blas_loaded()) return;
  auto& known = everlasting<Known>();
  const std::lock_guard<std::mutex> lock(known.mutex);
  if (!known.path.empty() && !blas_loaded()) load_blas(known.path);
}

bool blas_loaded() { return double_gemm.load(std::memory_order_acquire) != nullptr; }

void require_blas() {
  load_known_blas();
  CAVS_CHECK(blas_loaded(), ErrorKind::kRuntime,
             "[blas] expected a loaded BLAS library, got none; call load_blas(path) first");
}

void* blas_function(const std::string& name) {
  require_blas();
  void* found = find_symbol(loaded_library.load(std::memory_order_acquire), name);
  CAVS_CHECK(
      found != nullptr, ErrorKind::kRuntime, "[blas] expected ", name,
      " in the loaded library, got one without it; give the path of an OpenBLAS with LAPACK");
  return found;
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  call_gemm(single_gemm, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double* a,
          int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  call_gemm(double_gemm, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace cavs
