// Finds offsets by greedy best fit.
#include "memory/planner.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "memory/allocator.h"

namespace cavs {
namespace {

struct Placed {
  int64_t begin, end;
  int first, last;
};

bool alive(const Lifetime& value) { return value.last >= value.first; }

// `placed` is in ascending order of `begin`; regions in it may overlap where lifetimes do not.
int64_t best_gap(const std::vector<Placed>& placed, const Lifetime& value, int64_t bytes,
                 int64_t start) {
  int64_t best = -1, best_room = std::numeric_limits<int64_t>::max(), free_from = start;
  for (const Placed& other : placed) {
    if (other.last < value.first || other.first > value.last) continue;
    const int64_t room = other.begin - free_from;
    if (room >= bytes && room < best_room) {
      best = free_from;
      best_room = room;
    }
    free_from = std::max(free_from, other.end);
  }
  return best >= 0 ? best : free_from;
}

void insert(std::vector<Placed>& placed, const Placed& region) {
  const auto position =
      std::upper_bound(placed.begin(), placed.end(), region,
                       [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  placed.insert(position, region);
}

// Places the values of `order`, one after the other, into `plan`, in which the other values already
// stand.
void place(const std::vector<Lifetime>& values, const std::vector<int>& order, int64_t start,
           std::vector<Placed> placed, MemoryPlan* plan) {
  for (const int i : order) {
    const int64_t bytes = align_up(values[i].bytes);
    const int64_t offset = best_gap(placed, values[i], bytes, start);
    plan->offsets[i] = offset;
    plan->total = std::max(plan->total, offset + bytes);
    if (plan->total > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(plan->total));
    insert(placed, {offset, offset + bytes, values[i].first, values[i].last});
  }
}

// Finds, for each value, how many bytes are alive at the fullest step of its life. `greatest` gets
// the bytes of the fullest step of all.
std::vector<int64_t> find_demands(const std::vector<Lifetime>& values, int64_t* greatest) {
  int steps = 0;
  for (const Lifetime& value : values) steps = std::max(steps, value.last + 1);
  std::vector<int64_t> alive_at(static_cast<size_t>(steps), 0), demands;
  for (const Lifetime& value : values) {
    for (int step = value.first; step <= value.last; ++step) {
      alive_at[static_cast<size_t>(step)] += align_up(value.bytes);
    }
  }
  for (const Lifetime& value : values) {
    const auto begin = alive_at.begin();
    demands.push_back(alive(value) ? *std::max_element(begin + value.first, begin + value.last + 1)
                                   : 0);
  }
  *greatest = steps > 0 ? *std::max_element(alive_at.begin(), alive_at.end()) : 0;
  return demands;
}

// A small plan is made once per call and does not repay the time for a better one.
constexpr int64_t kWorthAnother = 1 << 20;

constexpr int kMostSteps = 1 << 24;

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& values, int64_t start, int kept) {
  MemoryPlan plan;
  plan.offsets.assign(values.size(), align_up(start));
  plan.total = align_up(start);
  std::vector<Placed> placed;
  placed.reserve(values.size());
  std::vector<int> order;
  for (size_t i = 0; i < values.size(); ++i) {
    const Lifetime& value = values[i];
    CAVS_CHECK(value.bytes >= 0, ErrorKind::kValue,
               "[planner] expected a size of 0 or more bytes, got ", value.bytes, " for value ", i,
               "; check the sizes");
    CAVS_CHECK(!alive(value) || (value.first >= 0 && value.last < kMostSteps), ErrorKind::kValue,
               "[planner] expected steps of 0..", kMostSteps - 1, ", got ", value.first, "..",
               value.last, " for value ", i, "; number steps from 0");
    for (const int64_t bytes : {value.bytes, value.offset}) {
      if (bytes > kMostBytes) throw OutOfMemory(static_cast<uint64_t>(bytes));
    }
    if (value.offset >= 0) plan.offsets[i] = value.offset;
    if (!alive(value) || value.bytes == 0) continue;
    if (value.offset < 0) {
      order.push_back(static_cast<int>(i));
      continue;
    }
    const int64_t end = align_up(value.offset + value.bytes);
    insert(placed, {value.offset, end, value.first, value.last});
    plan.total = std::max(plan.total, end);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const bool first = values[a].last >= kept, second = values[b].last >= kept;
    return first != second ? first : values[a].bytes > values[b].bytes;
  });
  MemoryPlan best = plan;
  place(values, order, align_up(start), placed, &best);
  if (best.total - start < kWorthAnother) return best;

  // Values that are alive at the fullest step choose their places first.
  int64_t greatest = 0;
  const std::vector<int64_t> demands = find_demands(values, &greatest);
  if (best.total - start - greatest <= greatest / 64) return best;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const bool first = values[a].last >= kept, second = values[b].last >= kept;
    return first != second ? first
                           : demands[static_cast<size_t>(a)] > demands[static_cast<size_t>(b)];
  });
  place(values, order, align_up(start), std::move(placed), &plan);
  return plan.total < best.total ? plan : best;
}

}  // namespace cavs
