// Copies of the caller's ids. Another thread may write to the caller's array at any time, so each
// id is read once, and the copy is both checked and used.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

namespace cavs {

// Loads each id once; with a plain load, a compiler may load an id again.
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
