// The operations by which a group computes one vector of columns; each makes one value.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <tuple>
#include <vector>

namespace cavs {

enum class VectorOp : uint8_t {
  kInput,     // number: which input
  kConstant,  // number: bits
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,  // b where either is NaN
  kSqrt,
  kMultiplyAdd,      // a * b + c, rounded once
  kSubtractProduct,  // c - a * b, rounded once
  kAnd,
  kOr,
  kXor,
  kAddBits,
  kSubBits,
  kShiftLeft,
  kShiftRight,  // number: how far; to the right with the sign
  kToFloat,
  kSelect,  // c where a compares to b as `number` says, else d
  // d; where a compares to b as `number` says, c is far (see far_sine.h), and its sine is taken
  kSineWhere,
  kCosineWhere,
};

constexpr int kNumArguments[] = {0, 0, 2, 2, 2, 2, 2, 2, 1, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 4, 4, 4};

// Comparisons. Of NaN only kNotEqual holds.
enum class Compare : int32_t { kEqual, kNotEqual, kLess, kLessEqual, kGreaterEqual, kGreater };

struct VectorNode {
  VectorOp op;
  int32_t number;
  std::array<int, 4> arguments;
};

class VectorCode {
 public:
  // Returns the number of the value. Equal operations make one value.
  int add(VectorOp op, int32_t number, std::array<int, 4> arguments) {
    const auto key = std::make_tuple(op, number, arguments);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    nodes_.push_back({op, number, arguments});
    const int value = static_cast<int>(nodes_.size()) - 1;
    known_[key] = value;
    return value;
  }
  int constant(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return constant_bits(bits);
  }
  int constant_bits(int32_t bits) { return add(VectorOp::kConstant, bits, {-1, -1, -1, -1}); }

  const std::vector<VectorNode>& nodes() const { return nodes_; }

 private:
  std::vector<VectorNode> nodes_;
  std::map<std::tuple<VectorOp, int32_t, std::array<int, 4>>, int> known_;
};

}  // namespace cavs
