// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
// counter-based generator, so that a sample depends on its key and counter alone.
// Everything here has internal linkage: the file is compiled for several instruction sets, and the
// linker must not merge the copies.
#pragma once

#include <cstdint>

namespace cavs {

struct PhiloxKey {
  uint32_t words[2];
};

struct PhiloxBlock {
  uint32_t words[4];
};

constexpr int kPhiloxLanes = 16;

// 16 blocks at once: words 4 i .. 4 i + 3 are those of the counter whose first word is i more than
// the one given. A word w stands for the number (w >> 8) / 2^24 in [0, 1). Flat loops, so that the
// compiler makes vectors of them.
static inline void philox4x32_lanes(PhiloxBlock counter, PhiloxKey key,
                                    uint32_t (&words)[4 * kPhiloxLanes]) {
  uint32_t a[kPhiloxLanes], b[kPhiloxLanes], c[kPhiloxLanes], d[kPhiloxLanes];
  for (int i = 0; i < kPhiloxLanes; ++i) {
    a[i] = counter.words[0] + static_cast<uint32_t>(i);
    b[i] = counter.words[1];
    c[i] = counter.words[2];
    d[i] = counter.words[3];
  }
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kPhiloxLanes; ++i) {
      const uint64_t even = uint64_t{0xD2511F53u} * a[i];
      const uint64_t odd = uint64_t{0xCD9E8D57u} * c[i];
      a[i] = static_cast<uint32_t>(odd >> 32) ^ b[i] ^ key.words[0];
      b[i] = static_cast<uint32_t>(odd);
      c[i] = static_cast<uint32_t>(even >> 32) ^ d[i] ^ key.words[1];
      d[i] = static_cast<uint32_t>(even);
    }
    key.words[0] += 0x9E3779B9u;
    key.words[1] += 0xBB67AE85u;
  }
  for (int i = 0; i < kPhiloxLanes; ++i) {
    words[4 * i] = a[i];
    words[4 * i + 1] = b[i];
    words[4 * i + 2] = c[i];
    words[4 * i + 3] = d[i];
  }
}

// The key of a graph's samples in one step of a run.
static inline PhiloxKey philox_key(uint64_t seed, uint64_t step, uint64_t graph_key) {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  return {{low(seed) ^ (low(step) * 0x9E3779B9u),
           high(seed) ^ (high(graph_key) + high(step) * 0xBB67AE85u)}};
}

}  // namespace cavs
