// Ids of the caller, to be read once: another thread may write to his array at any time, so what is
// checked must be a copy, and the copy what is used.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

namespace cavs {

// Each is loaded once, which a compiler need not do for plain ones.
template <class T>
void copy_ids(const T* ids, int64_t count, T* to) {
  static_assert(std::is_integral_v<T>);
  for (int64_t i = 0; i < count; ++i) to[i] = __atomic_load_n(ids + i, __ATOMIC_RELAXED);
}

template <class T>
std::vector<T> own_ids(const T* ids, int64_t count) {
  std::vector<T> own(static_cast<size_t>(count));
  copy_ids(ids, count, own.data());
  return own;
}

}  // namespace cavs
