// Aligned memory that grows and is used again for the next graph.
#pragma once

#include <cstdint>

#include "memory/arena.h"

namespace cavs::dynamic {

constexpr int64_t kFloatBytes = 4;
// Values that stand side by side start at multiples of this: a kernel may work in whole vectors.
constexpr int64_t kUnit = 16;

inline int64_t round_to_unit(int64_t floats) { return (floats + kUnit - 1) / kUnit * kUnit; }

class FloatBuffer {
 public:
  // Room for `count` floats, with whole vectors after the last; what was there is lost.
  float* at_least(int64_t count) {
    arena_.reset();
    return extend(count);
  }
  // The same; what is in use since the last at_least() keeps its contents.
  float* extend(int64_t count) {
    arena_.reserve(round_to_unit(count) * kFloatBytes);
    return data();
  }
  float* data() const { return reinterpret_cast<float*>(arena_.data()); }

 private:
  Arena arena_{host_allocator()};
};

}  // namespace cavs::dynamic
