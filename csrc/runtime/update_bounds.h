// Whether an optimiser's step leaves parameters finite, found before the step from magnitudes
// alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "runtime/step_arithmetic.h"

namespace cavs {

// Bounds after a step by a gradient of at most `grad`, from bounds before it. Sums of squares are
// taken not to be negative. None where a bound, or a term that the step adds up, leaves the range
// of T: then the parameter may not be finite.
template <class T>
std::optional<UpdateBounds> bounds_after_step(const OptimizerSettings& settings, int64_t step,
                                              double grad, const UpdateBounds& before);

// The same from the bounds that are known before the step, and from measure() where none are known
// or they are too wide. A step of some rows alone measures these; its bounds then hold for these
// rows, and for all elements where `known` held for all.
template <class T, class Measure>
std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings, int64_t step,
                                                double grad,
                                                const std::optional<UpdateBounds>& known,
                                                bool some_rows, const Measure& measure) {
  std::optional<UpdateBounds> found;
  if (known) found = bounds_after_step<T>(settings, step, grad, *known);
  if (!found) found = bounds_after_step<T>(settings, step, grad, measure());
  if (found && known && some_rows) {  // other rows are as they were
    found->param = std::max(found->param, known->param);
    found->first = std::max(found->first, known->first);
    found->second = std::max(found->second, known->second);
  }
  return found;
}

}  // namespace cavs
