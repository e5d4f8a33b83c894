// Numbers for keys: equal keys get equal numbers, counted from 0.
#pragma once

#include <cstdint>
#include <vector>

namespace cavs::dynamic {

struct Key {
  uint64_t high = 0, low = 0;
  bool operator==(const Key& other) const { return high == other.high && low == other.low; }
};

// A hash table with open addressing that only grows: signatures are few and come again and again.
class Interner {
 public:
  Interner() : slots_(64, -1) {}

  int32_t number_of(const Key& key) {
    size_t slot = hash(key) & (slots_.size() - 1);
    while (slots_[slot] >= 0) {
      if (keys_[static_cast<size_t>(slots_[slot])] == key) return slots_[slot];
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = count();
    keys_.push_back(key);
    if (2 * keys_.size() > slots_.size()) grow();
    return count() - 1;
  }
  int32_t count() const { return static_cast<int32_t>(keys_.size()); }

 private:
  static size_t hash(const Key& key) {
    uint64_t mixed = (key.high ^ (key.low * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    return static_cast<size_t>(mixed ^ (mixed >> 32));
  }

  void grow() {
    slots_.assign(2 * slots_.size(), -1);
    for (size_t i = 0; i < keys_.size(); ++i) {
      size_t slot = hash(keys_[i]) & (slots_.size() - 1);
      while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<int32_t>(i);
    }
  }

  std::vector<Key> keys_;
  std::vector<int32_t> slots_;  // a power of two of them
};

}  // namespace cavs::dynamic
