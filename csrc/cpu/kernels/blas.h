// Matrix products of a BLAS library that is loaded at run time, so that building needs none.
#pragma once

#include <cstdint>
#include <string>

namespace cavs {

// Loads the library and takes cblas_sgemm and cblas_dgemm (or the same with the prefix scipy_) from
// it. Sets it to one thread, because this project splits rows over its own threads. So its products
// run in the caller's thread and take denormals as the caller does. Error(kRuntime) if that fails.
void load_blas(const std::string& path);
// Names the library, which is loaded when it is first needed.
void set_blas_path(const std::string& path);
// Loads the named library now, unless one is loaded. Without this call the first product loads it.
// Any number of threads may call at once.
void load_known_blas();
bool blas_loaded();
// Error(kRuntime) where no library is loaded, and none is known or it cannot be loaded.
void require_blas();
// A function of the library by its name without prefix. Error(kRuntime) as require_blas, and where
// the library lacks it.
void* blas_function(const std::string& name);

// C (m,n) = alpha op(A) op(B) + beta C, row-major. Error(kRuntime) as require_blas.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double* a,
          int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

}  // namespace cavs
