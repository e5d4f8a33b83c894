// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
// generator by counters, with the same numbers as cpu/kernels/random.inl.h and
// cavs/kernels/philox.py.
#pragma once

namespace cavs::cuda {
namespace {

// What is the same for all numbers of a row.
struct SampleKey {
  unsigned key[2];  // seed, step and the upper half of the graph's key
  unsigned local, graph, op;
};

struct Block {
  unsigned words[4];
};

__device__ __forceinline__ unsigned low(unsigned long long value) {
  return static_cast<unsigned>(value);
}
__device__ __forceinline__ unsigned high(unsigned long long value) {
  return static_cast<unsigned>(value >> 32);
}

__device__ __forceinline__ SampleKey sample_key(unsigned long long seed, unsigned long long step,
                                                unsigned op, unsigned long long graph,
                                                unsigned local) {
  return {{low(seed) ^ (low(step) * 0x9E3779B9u),
           high(seed) ^ (high(graph) + high(step) * 0xBB67AE85u)},
          local,
          low(graph),
          op};
}

// Words [4 * number, 4 * number + 4) of a row.
__device__ __forceinline__ Block philox4x32(const SampleKey& row, unsigned number) {
  unsigned a = number, b = row.local, c = row.graph, d = row.op;
  unsigned key0 = row.key[0], key1 = row.key[1];
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long even = static_cast<unsigned long long>(a) * 0xD2511F53u;
    const unsigned long long odd = static_cast<unsigned long long>(c) * 0xCD9E8D57u;
    a = high(odd) ^ b ^ key0;
    b = low(odd);
    c = high(even) ^ d ^ key1;
    d = low(even);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

}  // namespace
}  // namespace cavs::cuda
