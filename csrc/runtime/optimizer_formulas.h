// The steps of the optimisers for one element, with PyTorch's formulae: one text for every device,
// also for CUDA's run-time compiler. A product that is added to something is written as
// fused_multiply_add, so that all devices round alike where their processors have one; a compiler
// may contract other products. CAVS_INLINE is defined by the including file. The file includes no
// header, because some compilers have none.
#pragma once

namespace cavs {
namespace {

#if defined(__CUDACC__)
CAVS_INLINE float fused_multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
CAVS_INLINE double fused_multiply_add(double a, double b, double c) { return fma(a, b, c); }
CAVS_INLINE float square_root(float x) { return sqrtf(x); }
CAVS_INLINE double square_root(double x) { return sqrt(x); }
#else
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
CAVS_INLINE float fused_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CAVS_INLINE double fused_multiply_add(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
#else
CAVS_INLINE float fused_multiply_add(float a, float b, float c) { return a * b + c; }
CAVS_INLINE double fused_multiply_add(double a, double b, double c) { return a * b + c; }
#endif
CAVS_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
CAVS_INLINE double square_root(double x) { return __builtin_sqrt(x); }
#endif

// The numbers that a step needs of the settings; see rates_of in optimizer_rates.h.

template <class T>
struct SgdRates {
  T lr, decay, momentum;
  bool nesterov;
};

template <class T>
struct AdagradRates {
  T lr, eps, decay;
};

template <class T>
struct AdamRates {
  T rate, correction;  // of the number of the update
  T keep1, take1, keep2, take2;
  T eps, decay, shrink;
};

template <class T>
struct RmspropRates {
  T lr, eps, decay, momentum;
  T keep, take;
};

// Each changes a parameter by its gradient, and what the optimiser keeps for it. Null pointers
// stand for what the settings have no use for.

template <class T>
CAVS_INLINE void sgd_step(const SgdRates<T>& r, T& param, T grad, T* momentum) {
  T move = fused_multiply_add(r.decay, param, grad);
  if (momentum != nullptr) {
    *momentum = fused_multiply_add(r.momentum, *momentum, move);
    move = r.nesterov ? fused_multiply_add(r.momentum, *momentum, move) : *momentum;
  }
  param = fused_multiply_add(-r.lr, move, param);
}

template <class T>
CAVS_INLINE void adagrad_step(const AdagradRates<T>& r, T& param, T grad, T& sum) {
  const T g = fused_multiply_add(r.decay, param, grad);
  sum = fused_multiply_add(g, g, sum);
  param -= r.lr * g / (square_root(sum) + r.eps);
}

template <class T>
CAVS_INLINE void adam_step(const AdamRates<T>& r, T& param, T grad, T& m, T& v) {
  const T g = fused_multiply_add(r.decay, param, grad);
  m = fused_multiply_add(r.keep1, m, r.take1 * g);
  v = fused_multiply_add(r.keep2, v, r.take2 * (g * g));
  const T move = r.rate * m / (square_root(v) / r.correction + r.eps);
  param = fused_multiply_add(param, r.shrink, -move);
}

template <class T>
CAVS_INLINE void rmsprop_step(const RmspropRates<T>& r, T& param, T grad, T& square, T* momentum,
                              T* mean) {
  const T g = fused_multiply_add(r.decay, param, grad);
  square = fused_multiply_add(r.keep, square, r.take * (g * g));
  T variance = square;
  if (mean != nullptr) {
    *mean = fused_multiply_add(r.keep, *mean, r.take * g);
    const T found = fused_multiply_add(-*mean, *mean, square);
    variance = found > 0 ? found : T(0);  // less by rounding alone
  }
  T move = g / (square_root(variance) + r.eps);
  if (momentum != nullptr) move = *momentum = fused_multiply_add(r.momentum, *momentum, move);
  param = fused_multiply_add(-r.lr, move, param);
}

}  // namespace
}  // namespace cavs
