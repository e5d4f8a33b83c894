// Dropout of the weights of attention: the same numbers as if each edge had a row of weights, one a
// head, which the kernel "dropout" drew for.
#pragma once

#include "cpu/attention/isa.h"
#include "cpu/kernels/philox.inl.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

constexpr int64_t kHeadsTogether = 4;  // whose numbers are the words of one block

typedef uint32_t HalfWords __attribute__((vector_size(kVectorBytes / 2)));
typedef uint8_t WideBytes __attribute__((vector_size(kWideLanes)));

// The first `count` numbers, or as many as there are lanes.
CAVS_INLINE Wide load_numbers(const int32_t* numbers, int64_t count) {
  HalfWords half = {};
  if (count >= kWideLanes) {
    __builtin_memcpy(&half, numbers, sizeof(half));
  } else {
    for (int64_t i = 0; i < count; ++i) half[i] = static_cast<uint32_t>(numbers[i]);
  }
  return __builtin_convertvector(half, Wide);
}

// Which weights are kept in four heads, bit by bit, for up to N * kWideLanes edges with the numbers
// base + numbers[i]. Writes a byte for each lane.
template <int N>
void draw_edges(const SampleKey& key, int64_t block, uint64_t least, uint32_t base,
                const int32_t* numbers, int64_t count, uint8_t* bits) {
  Wide words[4][N];
  for (int i = 0; i < N; ++i) {
    words[0][i] = all_lanes(static_cast<uint32_t>(block));
    words[1][i] = load_numbers(numbers + i * kWideLanes, count - i * kWideLanes) + base;
    words[2][i] = all_lanes(key.graph);
    words[3][i] = all_lanes(key.op);
  }
  philox_rounds(key, words[0], words[1], words[2], words[3]);
  for (int i = 0; i < N; ++i) {
    Wide kept = {};
    for (int head = 0; head < kHeadsTogether; ++head) {
      kept |= (least - 1 - (words[head][i] & 0xffffffffu)) >> 63 << head;  // least <= word
    }
    const WideBytes bytes = __builtin_convertvector(kept, WideBytes);
    __builtin_memcpy(bits + i * kWideLanes, &bytes, sizeof(bytes));
  }
}

// Drops weights of attention, where that is wanted. A weight that is kept stays as it is.
class Dropout {
 public:
  // `tables`: those behind the tables of operands, of which only dropout needs some.
  Dropout(const KernelCall& call, const AttentionAttributes& told, const int32_t* child_ptr,
          const IndexTable* tables)
      : random_(*call.random),
        child_ptr_(child_ptr),
        parents_(told.zeroed > 0 ? tables[kParentTable] : IndexTable()),
        children_(told.zeroed > 0 ? tables[kChildTable] : IndexTable()),
        edges_(told.zeroed > 0 ? tables[kEdgeTable] : IndexTable()),
        least_(static_cast<uint64_t>(told.zeroed) << 8),  // a number is the upper 24 of 32 bits
        key_(told.key),
        bytes_(told.zeroed > 0 ? edges_.part[0] * kLine : 0),
        before_(static_cast<int32_t*>(call.scratch)),
        bits_(static_cast<uint8_t*>(call.scratch) +
              (told.zeroed > 0 ? edges_.part[1] * kLine : 0)) {}

  // Of the thread's memory, from its beginning on.
  int64_t bytes() const { return bytes_; }
  bool acts() const { return bytes_ > 0; }

  // Draws for the vertices of a graph, if that was not done before for a head of the same four.
  void draw(int64_t graph, int64_t head) {
    const int64_t block = head / kHeadsTogether;
    if (!acts() || (graph == graph_ && block == block_)) return;
    graph_ = graph;
    block_ = block;
    const SampleKey key = sample_key(random_, key_, random_.graph_key[graph], 0);
    const int32_t first = parents_.ptr[graph];
    int32_t before = 0;
    for (int32_t i = first; i < parents_.ptr[graph + 1]; ++i) {
      const int32_t row = parents_.list[i], count = child_ptr_[row + 1] - child_ptr_[row];
      before_[i - first] = before;
      draw_row(key, row, count, bits_ + before);
      before += count;
    }
  }

  // Drops elements of children [first, first + n) of vertex i of the graph. Takes whole vectors, of
  // which `first` begins one: it may be before the first child by less than that.
  template <class T>
  CAVS_INLINE void drop(int64_t i, int64_t head, int64_t first, int64_t n, T* x) const {
    typedef uint8_t Bytes __attribute__((vector_size(kLanes<T>)));
    typedef typename Simd<T>::Mask Mask;
    const uint8_t* bits = bits_ + before_[i] + first;
    const int bit = 1 << head % kHeadsTogether;
    for (int64_t j = 0; j < n; j += kLanes<T>) {
      Bytes bytes;
      __builtin_memcpy(&bytes, bits + j, sizeof(bytes));
      const Mask kept = (__builtin_convertvector(bytes, Mask) & bit) != 0;
      store_vector<T>(x + j, select(kept, load_vector(x + j), Vec<T>{}));
    }
  }
  bool drops(int64_t i, int64_t head, int64_t child) const {
    return acts() && (bits_[before_[i] + child] >> head % kHeadsTogether & 1) == 0;
  }

 private:
  void draw_row(const SampleKey& key, int32_t row, int32_t count, uint8_t* bits) const {
    const bool by_place = edges_.index != nullptr;
    const int32_t first = by_place ? children_.ptr[graph_] + children_.index[row] : child_ptr_[row];
    const int32_t* numbers = edges_.list + first;
    const int32_t base = (by_place ? edges_.index[row] : 0) - edges_.ptr[graph_];
    for (int64_t j = 0; j < count; j += 2 * kWideLanes) {
      const int64_t n = count - j;
      const auto draw = n > kWideLanes ? draw_edges<2> : draw_edges<1>;
      draw(key, block_, least_, static_cast<uint32_t>(base), numbers + j, n, bits + j);
    }
  }

  const RandomContext& random_;
  const int32_t* const child_ptr_;
  const IndexTable parents_, children_, edges_;
  const uint64_t least_;
  const uint32_t key_;
  const int64_t bytes_;
  int32_t* const before_;  // [vertex of the graph] edges of those before it
  uint8_t* const bits_;    // [edge of the graph]
  int64_t graph_ = -1, block_ = -1;
};

}  // namespace
}  // namespace cavs
