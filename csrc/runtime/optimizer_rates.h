// The numbers of optimizer_formulas.h from an optimiser's settings. The including file defines
// CAVS_INLINE.
#pragma once

#include <cstdint>

#include "runtime/optimizer_formulas.h"
#include "runtime/step_arithmetic.h"

namespace cavs {
namespace {

template <class T>
SgdRates<T> rates_of(const SgdSettings& s) {
  return {static_cast<T>(s.lr), static_cast<T>(s.weight_decay), static_cast<T>(s.momentum),
          s.nesterov};
}

template <class T>
AdagradRates<T> rates_of(const AdagradSettings& s) {
  return {static_cast<T>(s.lr), static_cast<T>(s.eps), static_cast<T>(s.weight_decay)};
}

// `step`: number of the update, from 1
template <class T>
AdamRates<T> rates_of(const AdamSettings& s, int64_t step) {
  const double correction1 = 1 - __builtin_pow(s.beta1, static_cast<double>(step));
  const double correction2 = __builtin_sqrt(1 - __builtin_pow(s.beta2, static_cast<double>(step)));
  AdamRates<T> rates;
  rates.rate = static_cast<T>(s.sparse ? s.lr * correction2 / correction1 : s.lr / correction1);
  rates.correction = static_cast<T>(s.sparse ? 1 : correction2);
  rates.keep1 = static_cast<T>(s.beta1);
  rates.take1 = static_cast<T>(1 - s.beta1);
  rates.keep2 = static_cast<T>(s.beta2);
  rates.take2 = static_cast<T>(1 - s.beta2);
  rates.eps = static_cast<T>(s.eps);
  rates.decay = static_cast<T>(s.decoupled ? 0 : s.weight_decay);
  rates.shrink = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
  return rates;
}

template <class T>
RmspropRates<T> rates_of(const RmspropSettings& s) {
  return {static_cast<T>(s.lr),       static_cast<T>(s.eps),   static_cast<T>(s.weight_decay),
          static_cast<T>(s.momentum), static_cast<T>(s.alpha), static_cast<T>(1 - s.alpha)};
}

}  // namespace
}  // namespace cavs
