// Whether an optimiser's step leaves parameters finite, told before it from magnitudes alone.
#pragma once

#include <cstdint>
#include <optional>

#include "cpu/kernels/optimizers.h"

namespace cavs {

// After a step of `update` by a gradient of at most `grad`, from bounds before it where they are
// known, and from the arrays where not or where known ones are too wide. With `ids`, the step is of
// those `count` rows of `d` elements, ids of -1 passed over, and the arrays are read there alone:
// bounds are of these rows then, and of all elements where they were known of all. Sums of squares
// are taken not to be negative. None where the parameter may not be finite after the step.
template <class T>
std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                const DenseUpdate<T>& update, double grad,
                                                const std::optional<UpdateBounds>& known,
                                                const int32_t* ids, int64_t count, int64_t d);

}  // namespace cavs
