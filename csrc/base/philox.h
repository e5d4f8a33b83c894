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

static inline PhiloxBlock philox4x32(PhiloxBlock counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t even = uint64_t{0xD2511F53u} * counter.words[0];
    const uint64_t odd = uint64_t{0xCD9E8D57u} * counter.words[2];
    const uint32_t word0 = static_cast<uint32_t>(odd >> 32) ^ counter.words[1] ^ key.words[0];
    const uint32_t word2 = static_cast<uint32_t>(even >> 32) ^ counter.words[3] ^ key.words[1];
    counter.words[0] = word0;
    counter.words[1] = static_cast<uint32_t>(odd);
    counter.words[2] = word2;
    counter.words[3] = static_cast<uint32_t>(even);
    key.words[0] += 0x9E3779B9u;
    key.words[1] += 0xBB67AE85u;
  }
  return counter;
}

// The key of a graph's samples in one step of a run.
static inline PhiloxKey philox_key(uint64_t seed, uint64_t step, uint64_t graph_key) {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  return {{low(seed) ^ (low(step) * 0x9E3779B9u),
           high(seed) ^ (high(graph_key) + high(step) * 0xBB67AE85u)}};
}

// A number in [0, 1) with 24 random bits: exact in float, so that float and double agree.
static inline double philox_uniform(uint32_t word) {
  return static_cast<double>(word >> 8) * (1.0 / 16777216.0);
}

}  // namespace cavs
