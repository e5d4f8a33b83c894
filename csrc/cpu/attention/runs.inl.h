// Attention of vertices whose children follow each other, as in a causal window: products of tiles
// of vertices and children, softmax row by row. Rows stand by level, or by type; so those of a
// graph are brought together first, a head at a time, where they do not stand together.
#pragma once

#include "cpu/attention/lists.inl.h"
#include "cpu/attention/products.inl.h"

namespace cavs {
namespace {

constexpr int64_t kQueries = 4 * kTileRows, kKeys = 128;  // a block of scores in the gradient

template <class T>
constexpr int64_t kUnit = 64 / static_cast<int64_t>(sizeof(T));  // blocks of memory begin at lines

// Hands out parts of a thread's memory.
template <class T>
class Room {
 public:
  explicit Room(T* memory) : next_(memory) {}
  T* take(int64_t count) {
    T* const found = next_;
    next_ += round_up(count, kUnit<T>);
    return found;
  }

 private:
  T* next_;
};

// Rows of one head, `step` apart.
template <class T>
struct HeadRows {
  T* data;
  int64_t step;
  T* row(int64_t i) const { return data + i * step; }
};

// The children of a vertex, or of several: places [begin, end) in the graph.
struct Span {
  int64_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
};

// One head of one graph.
template <class T>
class Head {
 public:
  Head(const Attention<T>& given, int64_t graph, int64_t number)
      : it(given),
        head(number),
        parent(given.parents.list + given.parents.ptr[graph]),
        child(given.children.list + given.children.ptr[graph]),
        count(given.parents.ptr[graph + 1] - given.parents.ptr[graph]),
        size(round_up(given.size, kLanes<T>)),
        values(round_up(given.values, kLanes<T>)),
        keys(span(0, count)) {}

  // Children of vertices [i, end).
  Span span(int64_t i, int64_t end) const {
    Span all;
    for (; i < end; ++i) {
      const Span one = span(i);
      if (one.empty()) continue;
      if (all.empty()) all = one;
      all = {least(all.begin, one.begin), greatest(all.end, one.end)};
    }
    return all;
  }
  Span span(int64_t i) const {
    const int64_t row = parent[i], begin = it.children.index[row];
    return {begin, begin + it.count(row)};
  }
  int64_t num_keys() const { return keys.end - keys.begin; }
  // Children in whole panels.
  int64_t columns() const { return round_up(num_keys(), kPanelColumns<T>); }

  // `rows` rows, which have the numbers `list`: in place, or brought together in `room`. Zeros
  // stand for those that are not `there`.
  template <class There>
  HeadRows<T> gather(const Operand& from, const int32_t* list, int64_t rows, int64_t given,
                     int64_t width, Room<T>* room, const There& there) const {
    T* target = room->take(rows * width);
    const int64_t column = head * given;
    bool together = given == width && rows > 0 && there(list[0]);
    for (int64_t i = 1; together && i < rows; ++i) {
      together = list[i] == list[i - 1] + 1 && there(list[i]);
    }
    if (together) return {row_of<T>(from, list[0]) + column, from.ld};
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t kept = there(list[i]) ? given : 0;
      copy_row(target + i * width, row_of<T>(from, list[i]) + column, kept);
      for (int64_t l = kept; l < width; ++l) target[i * width + l] = 0;
    }
    return {target, width};
  }
  // Of the vertices. Those without children have no query, or one that is of no use, and may be
  // NaN.
  HeadRows<T> of_vertices(const Operand& from, int64_t given, int64_t width, Room<T>* room) const {
    return gather(from, parent, count, given, width, room,
                  [this](int64_t row) { return it.count(row) > 0; });
  }
  // Of all children.
  HeadRows<T> of_children(const Operand& from, int64_t given, int64_t width, Room<T>* room) const {
    return gather(from, child + keys.begin, num_keys(), given, width, room,
                  [](int64_t) { return true; });
  }
  HeadRows<T> queries(Room<T>* room) const { return of_vertices(it.q, it.size, size, room); }
  HeadRows<T> of_keys(Room<T>* room) const { return of_children(it.k, it.size, size, room); }
  HeadRows<T> of_values(Room<T>* room) const { return of_children(it.v, it.values, values, room); }

  // To the scores of vertex i with the `n` children from place `begin` on adds what scores add, and
  // sets what is not in its list to -infinity; n is a multiple of the vector. Returns the largest.
  T complete(int64_t i, int64_t begin, int64_t n, T* s) const {
    const Span own = span(i);
    const int64_t from = least(n, greatest(own.begin - begin, 0));
    const int64_t to = greatest(from, least(own.end - begin, n));
    const int64_t row = parent[i], first = own.begin - begin;  // of the list, from s on
    const T* position =
        it.position == nullptr ? nullptr : it.positions_of(row, head, own.end - own.begin);
    fill_row(s, -kInfinite<T>, from);
    fill_row(s + to, -kInfinite<T>, n - to);
    for (int64_t j = from; it.bias != nullptr && j < to; ++j) {
      s[j] += it.bias_of(it.child_ptr[row] + j - first, head);
    }
    Vec<T> top = splat(-kInfinite<T>);
    int64_t j = from;
    for (; j + kLanes<T> <= to; j += kLanes<T>) {
      Vec<T> x = load_vector(s + j);
      if (position != nullptr) x += load_vector(position + j - first);
      top = select(x > top, x, top);
      store_vector<T>(s + j, x);
    }
    T largest = max_lanes<T>(top);
    for (; j < to; ++j) {
      if (position != nullptr) s[j] += position[j - first];
      largest = s[j] > largest ? s[j] : largest;
    }
    return largest;
  }

  // Drops weights, or gradients by weights that were dropped, of vertex i with the `n` children
  // from place `begin` on. What is not in its list stays, or is dropped too.
  void drop(int64_t i, int64_t begin, int64_t n, T* x) const {
    if (!it.dropout.acts()) return;
    const Span own = span(i);
    const int64_t from = greatest(own.begin - begin, 0) / kLanes<T> * kLanes<T>;
    const int64_t to = least(own.end - begin, n);
    it.dropout.drop(i, head, begin + from - own.begin, to - from, x + from);
  }

  const Attention<T>& it;
  const int64_t head;
  const int32_t* const parent;
  const int32_t* const child;
  const int64_t count, size, values;
  const Span keys;
};

template <class T>
void forward_runs(const Attention<T>& it, int64_t graph, int64_t number) {
  constexpr int64_t width = kPanelColumns<T>;
  const Head<T> head(it, graph, number);
  Room<T> room(it.scratch);
  const HeadRows<T> q = head.queries(&room), v = head.of_values(&room);
  const int64_t size = head.size, values = head.values;
  T* panels = room.take(head.columns() * size);
  T* s = room.take(kTileRows * head.columns());
  T* o = room.take(kTileRows * values);
  const HeadRows<T> k = head.of_keys(&room);
  pack_panels(k.data, k.step, head.num_keys(), size, panels);
  for (int64_t i = 0; i < head.count; i += kTileRows) {
    const int64_t rows = least(kTileRows, head.count - i);
    const Span keys = head.span(i, i + rows);
    const int64_t lead = (keys.begin - head.keys.begin) / width * width;  // panels are not cut
    const int64_t from = head.keys.begin + lead, n = round_up(keys.end - from, width);
    T shares[kTileRows] = {};
    if (!keys.empty()) {
      for (int64_t j = 0; j < n; j += width) {
        tile_of<kTileRows, kTileVectors>(rows, size, q.row(i), q.step, 1,
                                         panels + (lead + j) * size, width, s + j, n, false);
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = head.parent[i + r];
      T* log_sum = it.log_sum(row, number);
      if (it.count(row) == 0) {
        if (it.has_query(row)) *log_sum = 0;
        if (!keys.empty()) fill_row(s + r * n, T(0), n);
        continue;
      }
      const T largest = head.complete(i + r, from, n, s + r * n);
      const T top = largest == -kInfinite<T> ? T(0) : largest;
      const T sum = exp_total(s + r * n, top, s + r * n, n);
      shares[r] = sum == 0 ? T(0) : 1 / sum;
      *log_sum = sum == 0 ? T(0) : top + log_scalar(sum);
      head.drop(i + r, from, n, s + r * n);
    }
    if (!keys.empty()) {
      product(rows, values, keys.end - from, s, n, 1, v.row(lead), v.step, o, values, false);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = head.parent[i + r];
      if (!it.has_query(row)) continue;
      T* target = it.head_of(*it.result, row, number, it.values);
      if (it.count(row) == 0) {
        fill_row(target, T(0), it.values);
        continue;
      }
      multiply_row(o + r * values, shares[r], values);
      copy_row(target, o + r * values, it.values);
    }
  }
}

// The gradient of a head, a block of vertices by a block of children at a time. P are the weights,
// dS the gradient by scores: dv = D(P)' do, dS = P (D(do v') - o . do), dq = dS k, dk = dS' q. D
// drops weights, where they were dropped.
template <class T>
class Backward {
 public:
  Backward(const Attention<T>& given, int64_t graph, int64_t number)
      : it_(given),
        number_(number),
        head_(given, graph, number),
        size_(head_.size),
        values_(head_.values),
        room_(given.scratch),
        q_(head_.queries(&room_)),
        k_(head_.of_keys(&room_)),
        d_out_(head_.of_vertices(*given.d_out, given.values, values_, &room_)),
        s_(room_.take(kQueries * kKeys)),
        ds_(room_.take(kQueries * kKeys)),
        dq_(room_.take(kQueries * size_)),
        dk_(room_.take(head_.num_keys() * size_)),
        dv_(room_.take(head_.num_keys() * values_)),
        k_panels_(room_.take(head_.columns() * size_)),
        v_panels_(room_.take(head_.columns() * values_)) {
    pack_panels(k_.data, k_.step, head_.num_keys(), size_, k_panels_);
    const HeadRows<T> v = head_.of_values(&room_);
    pack_panels(v.data, v.step, head_.num_keys(), values_, v_panels_);
  }

  void run() {
    fill_row(dk_, T(0), head_.num_keys() * size_);
    fill_row(dv_, T(0), head_.num_keys() * values_);
    for (int64_t i = 0; i < head_.count; i += kQueries) block(i, least(kQueries, head_.count - i));
    for (int64_t j = 0; it_.d_children != nullptr && j < head_.num_keys(); ++j) {
      const int64_t row = head_.child[head_.keys.begin + j];
      copy_row(it_.head_of(*it_.d_children, row, number_, it_.size), dk_ + j * size_, it_.size);
      copy_row(it_.d_values_of(row, number_), dv_ + j * values_, it_.values);
    }
  }

 private:
  // Vertices [i, i + rows).
  void block(int64_t i, int64_t rows) {
    const Span keys = head_.span(i, i + rows);
    if (keys.empty()) return;
    T mean[kQueries];
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = head_.parent[i + r];
      mean[r] = it_.count(row) == 0
                    ? T(0)
                    : dot(it_.head_of(*it_.d_out, row, number_, it_.values),
                          it_.head_of(*it_.result, row, number_, it_.values), it_.values);
    }
    fill_row(dq_, T(0), rows * size_);
    const int64_t lead = (keys.begin - head_.keys.begin) / kPanelColumns<T> * kPanelColumns<T>;
    for (int64_t key = lead; key < keys.end - head_.keys.begin; key += kKeys) {
      of_keys(i, rows, key, least(kKeys, keys.end - head_.keys.begin - key), mean);
    }
    for (int64_t r = 0; it_.d_query != nullptr && r < rows; ++r) {
      const int64_t row = head_.parent[i + r];
      if (it_.count(row) == 0) continue;
      copy_row(it_.head_of(*it_.d_query, row, number_, it_.size), dq_ + r * size_, it_.size);
    }
  }

  // With the `n` children from `key` on, counted from the graph's first.
  void of_keys(int64_t i, int64_t rows, int64_t key, int64_t n, const T* mean) {
    constexpr int64_t width = kPanelColumns<T>;
    const int64_t from = head_.keys.begin + key;
    int64_t ends[kQueries / kTileRows], begins[kQueries / kTileRows];
    for (int64_t t = 0; t < rows; t += kTileRows) {
      const int64_t few = least(kTileRows, rows - t);
      const Span own = head_.span(i + t, i + t + few);
      const int64_t stop = own.empty() ? 0 : greatest(0, least(own.end - from, n));
      ends[t / kTileRows] = stop;
      begins[t / kTileRows] = own.begin - from;
      for (int64_t j = 0; j < stop; j += width) {
        tile_of<kTileRows, kTileVectors>(few, size_, q_.row(i + t), q_.step, 1,
                                         k_panels_ + (key + j) * size_, width, s_ + t * kKeys + j,
                                         kKeys, false);
        tile_of<kTileRows, kTileVectors>(few, values_, d_out_.row(i + t), d_out_.step, 1,
                                         v_panels_ + (key + j) * values_, width,
                                         ds_ + t * kKeys + j, kKeys, false);
      }
      for (int64_t r = t; r < t + few; ++r) weigh(i + r, r, from, stop, mean[r]);
      if (it_.d_query != nullptr && stop > 0) {
        product(few, size_, stop, ds_ + t * kKeys, kKeys, 1, k_.row(key), k_.step, dq_ + t * size_,
                size_, true);
      }
    }
    if (it_.d_children == nullptr) return;
    for (int64_t j = 0; j < n; j += kTileRows) {  // tiles of children: the vertices that have them
      const int64_t few = least(kTileRows, n - j);
      int64_t t = 0, last = rows;
      while (t < rows && ends[t / kTileRows] <= j) t += kTileRows;
      while (last > t && begins[(last - 1) / kTileRows] >= j + few) {
        last = (last - 1) / kTileRows * kTileRows;
      }
      if (last <= t) continue;
      product(few, values_, last - t, s_ + t * kKeys + j, 1, kKeys, d_out_.row(i + t), d_out_.step,
              dv_ + (key + j) * values_, values_, true);
      product(few, size_, last - t, ds_ + t * kKeys + j, 1, kKeys, q_.row(i + t), q_.step,
              dk_ + (key + j) * size_, size_, true);
    }
  }

  // Makes weights of the scores of vertex i, row r of the block, and the gradient by them. `stop`:
  // how many children of the block are to be looked at.
  void weigh(int64_t i, int64_t r, int64_t from, int64_t stop, T mean) {
    T *s = s_ + r * kKeys, *ds = ds_ + r * kKeys;
    const int64_t row = head_.parent[i], used = round_up(stop, kPanelColumns<T>);
    const bool none = stop == 0 || it_.count(row) == 0;
    // Tiles of children read beyond, and what is not in the list must not be NaN.
    fill_row(s + (none ? 0 : used), T(0), kKeys - (none ? 0 : used));
    fill_row(ds + (none ? 0 : used), T(0), kKeys - (none ? 0 : used));
    if (none) return;
    head_.complete(i, from, used, s);
    head_.drop(i, from, used, ds);
    const T log_sum = *it_.log_sum(row, number_);
    for (int64_t j = 0; j < used; j += kLanes<T>) {
      const Vec<T> weight = exp_(load_vector(s + j) - log_sum);
      store_vector<T>(s + j, weight);
      store_vector<T>(ds + j, weight * (load_vector(ds + j) - mean));
    }
    head_.drop(i, from, used, s);
    const Span own = head_.span(i);
    const int64_t begin = greatest(own.begin, from), end = least(own.end, from + stop);
    if (begin < end && it_.d_query != nullptr && it_.position != nullptr) {
      T* target = it_.d_positions_of(row, number_) + it_.told.positions - own.end;
      copy_row(target + begin, ds + begin - from, end - begin);
    }
    for (int64_t j = begin; it_.d_bias != nullptr && j < end; ++j) {
      it_.add_d_bias(it_.child_ptr[row] + j - own.begin, number_, ds[j - from]);
    }
  }

  const Attention<T>& it_;
  const int64_t number_;
  const Head<T> head_;
  const int64_t size_, values_;
  Room<T> room_;
  const HeadRows<T> q_, k_, d_out_;
  T *const s_, *const ds_, *const dq_, *const dk_, *const dv_, *const k_panels_, *const v_panels_;
};

template <class T>
void backward_runs(const Attention<T>& it, int64_t graph, int64_t head) {
  Backward<T>(it, graph, head).run();
}

// Bytes that a thread needs.
template <class T>
int64_t memory_of(const AttentionWork& work) {
  const AttentionAttributes& it = work.sizes;
  const int64_t size = round_up(it.size, kLanes<T>), values = round_up(it.values, kLanes<T>);
  const int64_t columns = round_up(work.children, kPanelColumns<T>);
  int64_t count = work.parents * size + work.children * (size + values) + columns * size;
  if (it.query || it.children || it.bias) {
    count += work.parents * values + work.children * (size + values) + columns * values +
             kQueries * (2 * kKeys + size);
  } else {
    count += kTileRows * (columns + values);
  }
  constexpr int64_t blocks = 16;
  return (greatest(count, work.arity) + blocks * kUnit<T>)*static_cast<int64_t>(sizeof(T)) +
         work.dropout_lines * kLine;
}

}  // namespace
}  // namespace cavs
