// Learns which type to run from which types are ready.
#include "graph/learned_policy.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <random>
#include <utility>

#include "base/interrupt.h"
#include "graph/frontier.h"

namespace cavs {
namespace {

// By trial, on lattices, trees, taggers and attention.
constexpr int kEpisodes = 400;
constexpr int kEpisodesToCheck = 20;  // after so many the policy is tried
constexpr size_t kLookahead = 10;     // steps whose rewards are added before the table is asked
constexpr double kRate = 0.4;
constexpr double kMostExplored = 0.5, kLeastExplored = 0.05, kExploredLess = 0.95;
constexpr double kNearEnough = 1.01;  // of the lower bound

LearnedPolicy::State state_of(const Frontier& frontier) {
  LearnedPolicy::State state;
  const auto& ready = frontier.ready();
  for (size_t t = 0; t < ready.size(); ++t) {
    if (!ready[t].empty()) state.push_back(static_cast<int32_t>(t));
  }
  std::stable_sort(state.begin(), state.end(),
                   [&](int32_t a, int32_t b) { return ready[a].size() > ready[b].size(); });
  return state;
}

class Learner {
 public:
  Learner(const std::vector<const GraphBatch*>& batches, const TypeOrder& order, uint64_t seed)
      : draw_(seed) {
    for (const GraphBatch* batch : batches) {
      types_.push_back(std::make_unique<std::vector<int32_t>>(types_of(*batch, order)));
      begun_.emplace_back(*batch, order, *types_.back(), true);
    }
  }

  Learned learn() {
    Learned best;
    best.batches = batches_by(best.policy);
    int64_t least = 0;
    for (const Frontier& frontier : begun_) least += frontier.bound();
    for (int episode = 0; episode < kEpisodes && best.batches > kNearEnough * least; ++episode) {
      run_episode(begun_[static_cast<size_t>(episode) % begun_.size()]);
      explored_ = std::max(kLeastExplored, explored_ * kExploredLess);
      best.episodes = episode + 1;
      if ((episode + 1) % kEpisodesToCheck != 0) continue;
      LearnedPolicy found = policy();
      const int64_t batches = batches_by(found);
      if (batches < best.batches) {
        best.policy = std::move(found);
        best.batches = batches;
      }
    }
    return best;
  }

 private:
  // What choosing each type of a state is worth, in the state's order; 0, the most, at first.
  using Table = std::map<LearnedPolicy::State, std::vector<double>>;
  struct Step {
    std::vector<double>* row;
    size_t choice;
  };

  static size_t best_of(const std::vector<double>& row) {
    return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
  }

  // The same numbers on each machine, which distributions of the standard library are not.
  size_t draw(size_t count) { return static_cast<size_t>(draw_() % count); }
  double draw_share() { return static_cast<double>(draw_() >> 11) * 0x1p-53; }

  void run_episode(Frontier frontier) {
    std::vector<Step> steps;
    std::vector<double> rewards{0};  // added up
    while (!frontier.done()) {
      interrupt_.poll();
      const LearnedPolicy::State state = state_of(frontier);
      std::vector<double>& row = table_.try_emplace(state, state.size(), 0.0).first->second;
      const size_t choice = draw_share() < explored_ ? draw(state.size()) : best_of(row);
      const auto type = static_cast<size_t>(state[choice]);
      const bool lowers = frontier.share_of_longest(type) == 1;
      steps.push_back({&row, choice});
      rewards.push_back(rewards.back() - (lowers ? 0 : 1));
      ran_.clear();
      frontier.run(type, &ran_);
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      const size_t last = std::min(i + kLookahead, steps.size());
      double gain = rewards[last] - rewards[i];
      if (last < steps.size()) gain += (*steps[last].row)[best_of(*steps[last].row)];
      double& value = (*steps[i].row)[steps[i].choice];
      value += kRate * (gain - value);
    }
  }

  LearnedPolicy policy() const {
    LearnedPolicy found;
    for (const auto& [state, row] : table_) found.table[state] = state[best_of(row)];
    return found;
  }

  int64_t batches_by(const LearnedPolicy& policy) {
    int64_t count = 0;
    for (Frontier frontier : begun_) {
      interrupt_.poll();
      count += static_cast<int64_t>(batches_of(&frontier, policy).size());
    }
    return count;
  }

  std::vector<std::unique_ptr<std::vector<int32_t>>> types_;  // [batch], which frontiers refer to
  std::vector<Frontier> begun_;                               // [batch] before its first step
  Table table_;
  std::vector<int32_t> ran_;  // of the last step
  std::mt19937_64 draw_;
  double explored_ = kMostExplored;
  Interrupt interrupt_;
};

}  // namespace

size_t LearnedPolicy::operator()(const Frontier& frontier) const {
  const State state = state_of(frontier);
  const auto found = table.find(state);
  return static_cast<size_t>(found == table.end() ? state.front() : found->second);
}

Learned learn_policy(const std::vector<const GraphBatch*>& batches, const TypeOrder& order,
                     uint64_t seed) {
  return Learner(batches, order, seed).learn();
}

}  // namespace cavs
