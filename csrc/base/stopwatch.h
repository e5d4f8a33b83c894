// Time between two points.
#pragma once

#include <chrono>
#include <cstdint>

namespace cavs {

class Stopwatch {
 public:
  // Nanoseconds since construction, or since the last call.
  int64_t lap() {
    const auto now = std::chrono::steady_clock::now();
    const auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(now - since_);
    since_ = now;
    return passed.count();
  }

  // The same without beginning anew; other threads may ask too.
  int64_t passed() const {
    const auto passed = std::chrono::steady_clock::now() - since_;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count();
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

}  // namespace cavs
