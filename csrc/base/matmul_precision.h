// How products of float32 matrices are computed on devices that have a faster, coarser way.
#pragma once

#include <atomic>

namespace cavs {

inline std::atomic<bool> tf32_setting{false};

// Whether factors may be rounded to TF32 (10 bits of mantissa) before they are multiplied, with
// sums in float32. Off at first; for all calls from then on.
inline bool uses_tf32() { return tf32_setting.load(std::memory_order_relaxed); }
inline void set_uses_tf32(bool enabled) { tf32_setting.store(enabled, std::memory_order_relaxed); }

}  // namespace cavs
