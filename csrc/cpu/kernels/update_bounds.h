// Whether an optimiser's step leaves parameters finite, found before the step from magnitudes
// alone.
#pragma once

#include <cstdint>
#include <optional>

#include "cpu/kernels/optimizers.h"

namespace cavs {

// Bounds after a step of `update` by a gradient of at most `grad`. They come from the bounds before
// the step where these are known, and from the arrays where they are unknown or too wide. With
// `ids`, the step changes only those `count` rows of `d` elements (ids of -1 are passed over), and
// only these rows of the arrays are read. The bounds then hold for these rows, and for all elements
// where `known` held for all. Sums of squares are taken not to be negative. None where the
// parameter may not be finite after the step.
template <class T>
std::optional<UpdateBounds> bounds_after_update(const OptimizerSettings& settings,
                                                const DenseUpdate<T>& update, double grad,
                                                const std::optional<UpdateBounds>& known,
                                                const int32_t* ids, int64_t count, int64_t d);

}  // namespace cavs
