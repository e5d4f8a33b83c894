// Whether driver.h declares the functions as CUDA's own headers do; compiling this is the check.
// The headers come with a toolkit, or with the packages nvidia-cuda-runtime (cuda.h),
// nvidia-cuda-nvrtc (nvrtc.h), and for cuBLAS nvidia-cublas, nvidia-cuda-crt and nvidia-cuda-cccl:
//
//   g++ -std=c++17 -fsyntax-only -I csrc -I FOLDER tests/csrc/cuda_abi/check_abi.cpp
#include <cuda.h>
#include <nvrtc.h>
#if __has_include(<cublas_v2.h>) && __has_include(<nv/target>)
#include <cublas_v2.h>
#define CAVS_HAS_CUBLAS
#endif

#include <type_traits>

#include "cuda/driver/driver.h"

// Enumerations are ints here, and a pointer is a pointer.
template <class A, class B>
constexpr bool same_place =
    sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
    std::is_floating_point_v<A> == std::is_floating_point_v<B>;

template <class F, class G>
struct SameCall : std::false_type {};
template <class R, class... A, class S, class... B>
struct SameCall<R (*)(A...), S (*)(B...)>
    : std::bool_constant<sizeof...(A) == sizeof...(B) && sizeof(R) == sizeof(S)> {};

template <class F, class G, class = void>
struct SameParameters : std::false_type {};
template <class R, class... A, class S, class... B>
struct SameParameters<R (*)(A...), S (*)(B...), std::enable_if_t<sizeof...(A) == sizeof...(B)>>
    : std::bool_constant<(same_place<A, B> && ...)> {};

#define CAVS_COMPARE(name, suffix, parameters)                                               \
  {                                                                                          \
    using namespace cavs::cuda;                                                              \
    using Ours = Result(*) parameters;                                                       \
    using Theirs = decltype(&::name##suffix);                                                \
    static_assert(SameCall<Ours, Theirs>::value, #name ": another number of parameters");    \
    static_assert(SameParameters<Ours, Theirs>::value, #name ": parameters of other kinds"); \
  }

void compare() {
  CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_COMPARE)
  CAVS_CUDA_NVRTC_FUNCTIONS(CAVS_COMPARE)
#ifdef CAVS_HAS_CUBLAS
  CAVS_CUDA_BLAS_FUNCTIONS(CAVS_COMPARE)
#endif
}
