// Bounds the magnitudes of a parameter after an optimiser's step, before the step is done.
#include "runtime/update_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cavs {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The bounds after a step, and the greatest of the terms that the step adds up and of its rates,
// which must be finite even where they multiply zeros.
struct Step {
  UpdateBounds after;
  double terms = 0;
};

Step step_of(const SgdSettings& s, int64_t, double grad, const UpdateBounds& before, double) {
  const double g = grad + s.weight_decay * before.param;
  const double b = s.momentum == 0 ? g : s.momentum * before.first + g;
  const double move = s.nesterov ? g + s.momentum * b : b;
  return {{before.param + s.lr * move, s.momentum == 0 ? 0 : b, 0},
          std::max({g, move, s.lr, s.weight_decay})};
}

// The root of the sum is |g| or more, save that squares may be too small for T.
Step step_of(const AdagradSettings& s, int64_t, double grad, const UpdateBounds& before,
             double vanishing) {
  const double g = grad + s.weight_decay * before.param;
  const double ratio = s.eps > 0 ? 2 + vanishing / s.eps : kInfinity;
  return {{before.param + s.lr * ratio, before.first + g * g, 0},
          std::max({s.lr * g, s.lr, s.weight_decay})};
}

Step step_of(const AdamSettings& s, int64_t step, double grad, const UpdateBounds& before, double) {
  const double g = grad + (s.decoupled ? 0 : s.weight_decay * before.param);
  const double m = s.beta1 * before.first + (1 - s.beta1) * g;
  const double v = s.beta2 * before.second + (1 - s.beta2) * g * g;
  const double rate = s.lr / (1 - std::pow(s.beta1, static_cast<double>(step)));
  const double shrink = s.decoupled ? std::abs(1 - s.lr * s.weight_decay) : 1;
  const double move = s.eps > 0 ? rate * m / s.eps : kInfinity;
  return {{shrink * before.param + move, m, v},
          std::max({g * g, rate * m, rate, shrink, s.weight_decay})};
}

Step step_of(const RmspropSettings& s, int64_t, double grad, const UpdateBounds& before, double) {
  const double g = grad + s.weight_decay * before.param;
  const double square = s.alpha * before.first + (1 - s.alpha) * g * g;
  const double ratio = s.eps > 0 ? g / s.eps : kInfinity;
  const double move = s.momentum == 0 ? ratio : s.momentum * before.second + ratio;
  const double mean = s.centered ? s.alpha * before.second + (1 - s.alpha) * g : 0;
  const double second = s.momentum == 0 ? mean : move;
  return {{before.param + s.lr * move, square, second},
          std::max({g * g, move, s.lr, s.weight_decay})};
}

}  // namespace

template <class T>
std::optional<UpdateBounds> bounds_after_step(const OptimizerSettings& settings, int64_t step,
                                              double grad, const UpdateBounds& before) {
  const double vanishing = std::sqrt(static_cast<double>(std::numeric_limits<T>::min()));
  const Step found = std::visit(
      [&](const auto& s) { return step_of(s, step, grad, before, vanishing); }, settings);
  // Leaves room for rounding, and for sums of a few numbers of this size.
  const double limit = static_cast<double>(std::numeric_limits<T>::max()) / 1024;
  for (const double bound :
       {found.after.param, found.after.first, found.after.second, found.terms}) {
    if (!(bound < limit)) return std::nullopt;
  }
  return found.after;
}

template std::optional<UpdateBounds> bounds_after_step<float>(const OptimizerSettings&, int64_t,
                                                              double, const UpdateBounds&);
template std::optional<UpdateBounds> bounds_after_step<double>(const OptimizerSettings&, int64_t,
                                                               double, const UpdateBounds&);

}  // namespace cavs
