// Finds the fewest rounds of a level: software pipelining, in which a level may begin before the
// one before it is done.
#include "cuda/levels/levels_order.h"

#include <algorithm>
#include <optional>

#include "runtime/places.h"

namespace cavs::cuda {
namespace {

enum class Conflict { kNone, kSameThread, kAny };

Conflict conflict_of(const StepTouches& a, const StepTouches& b) {
  Conflict worst = Conflict::kNone;
  if (a.call == b.call) return worst;
  for (const Touch& x : a.touches) {
    for (const Touch& y : b.touches) {
      if (x.memory != y.memory || (!x.written && !y.written)) continue;
      const bool same_rows = x.distance == y.distance;
      if (same_rows && (x.end <= y.begin || y.end <= x.begin)) continue;
      const bool same_thread = same_rows && x.begin == y.begin && x.end == y.end && x.by_element &&
                               y.by_element && a.kind != 0 && a.kind == b.kind;
      if (!same_thread) return Conflict::kAny;
      worst = Conflict::kSameThread;
    }
  }
  return worst;
}

// times[to] >= times[from] + least
struct Constraint {
  size_t from, to;
  int least;
  bool carried;  // from one level to the next: then `rounds` less
};

std::vector<Constraint> constraints_of(const std::vector<StepTouches>& steps) {
  std::vector<Constraint> constraints;
  for (size_t i = 0; i < steps.size(); ++i) {
    for (size_t j = i + 1; j < steps.size(); ++j) {
      const Conflict conflict = conflict_of(steps[i], steps[j]);
      if (conflict == Conflict::kNone) continue;
      constraints.push_back({i, j, conflict == Conflict::kAny ? 1 : 0, false});
      constraints.push_back({j, i, 1, true});
    }
  }
  return constraints;
}

// The earliest times; nothing where so few rounds are not enough.
std::optional<std::vector<int>> earliest_times(const std::vector<Constraint>& constraints,
                                               size_t steps, int rounds) {
  std::vector<int> times(steps, 0);
  for (size_t pass = 0; pass <= steps; ++pass) {
    bool changed = false;
    for (const Constraint& it : constraints) {
      const int least = times[it.from] + it.least - (it.carried ? rounds : 0);
      if (times[it.to] >= least) continue;
      times[it.to] = least;
      changed = true;
    }
    if (!changed) return times;
  }
  return std::nullopt;
}

}  // namespace

Touch touch_of(const Executable& exe, const Layout& layout, int value, int64_t columns,
               bool written) {
  const Root& root = exe.roots[static_cast<size_t>(value)];
  const ValueSpec& spec = exe.program.values[static_cast<size_t>(root.value)];
  const RowPlace& place = layout.places[static_cast<size_t>(root.value)];
  const auto& form = exe.forms[static_cast<size_t>(value)];
  const int64_t item = item_size(form.dtype);
  const bool arena = spec.role == Role::kArena;
  Touch touch;
  touch.memory = arena && place.holder >= 0 ? place.holder : root.value;
  touch.begin = (arena ? place.column : 0) + root.column * item;
  touch.end = touch.begin + columns * item;
  touch.distance = ld_of(exe, layout, value) * item;
  touch.written = written;
  return touch;
}

LevelsOrder order_levels(const std::vector<StepTouches>& steps) {
  const std::vector<Constraint> constraints = constraints_of(steps);
  // As many rounds as steps are always enough.
  for (int rounds = 1;; ++rounds) {
    if (auto times = earliest_times(constraints, steps.size(), rounds)) {
      return {rounds, std::move(*times)};
    }
  }
}

}  // namespace cavs::cuda
