// Writes out the operations of a group for several vectors side by side.
#include "cpu/groups/unrolled_code.h"

#include <algorithm>

namespace cavs {
namespace {

// A value on which no output depends has neither uses nor outputs, and is not computed.
void find_uses(std::vector<UnrolledNode>* nodes) {
  for (int v = static_cast<int>(nodes->size()); v-- > 0;) {
    const UnrolledNode& user = (*nodes)[static_cast<size_t>(v)];
    if (!user.is_wanted()) continue;
    for (int i = 0; i < user.num_arguments(); ++i) {
      (*nodes)[static_cast<size_t>(user.node.arguments[static_cast<size_t>(i)])].uses.push_back(v);
    }
  }
  for (UnrolledNode& each : *nodes) std::reverse(each.uses.begin(), each.uses.end());
}

}  // namespace

std::vector<UnrolledNode> unroll(const VectorCode& code, const std::vector<bool>& narrow,
                                 const std::vector<int>& outputs, int copies) {
  std::vector<UnrolledNode> nodes;
  std::vector<std::vector<int>> numbers(static_cast<size_t>(copies));  // [copy][operation]
  for (const VectorNode& original : code.nodes()) {
    const bool shared =
        original.op == VectorOp::kConstant ||
        (original.op == VectorOp::kInput && narrow[static_cast<size_t>(original.number)]);
    for (int c = 0; c < copies; ++c) {
      auto& own = numbers[static_cast<size_t>(c)];
      if (shared && c > 0) {
        own.push_back(numbers[0].back());
        continue;
      }
      UnrolledNode node{original, c, {}, {}};
      for (int i = 0; i < node.num_arguments(); ++i) {
        int& argument = node.node.arguments[static_cast<size_t>(i)];
        argument = own[static_cast<size_t>(argument)];
      }
      own.push_back(static_cast<int>(nodes.size()));
      nodes.push_back(std::move(node));
    }
  }
  for (size_t j = 0; j < outputs.size(); ++j) {
    for (int c = 0; c < copies; ++c) {
      const int number = numbers[static_cast<size_t>(c)][static_cast<size_t>(outputs[j])];
      nodes[static_cast<size_t>(number)].outputs.emplace_back(static_cast<int>(j), c);
    }
  }
  find_uses(&nodes);
  return nodes;
}

int most_live(const std::vector<UnrolledNode>& nodes) {
  int live = 0, most = 0;
  for (int v = 0; v < static_cast<int>(nodes.size()); ++v) {
    const UnrolledNode& node = nodes[static_cast<size_t>(v)];
    if (!node.is_wanted() || node.is_source()) continue;
    const auto begin = node.node.arguments.begin();
    for (int i = 0; i < node.num_arguments(); ++i) {
      const UnrolledNode& argument = nodes[static_cast<size_t>(begin[i])];
      const bool counted = std::find(begin, begin + i, begin[i]) != begin + i;
      if (!argument.is_source() && !counted && argument.uses.back() == v) --live;
    }
    if (!node.uses.empty()) ++live;
    most = std::max(most, live);
  }
  return most;
}

}  // namespace cavs
