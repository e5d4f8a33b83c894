// Kernels in log space: logsumexp, softmax and its kin over the elements of a row and over the rows
// of a segment.
//
// -inf stands for an impossible element, and results for infinite elements are their limits: an
// infinity is never subtracted from its equal. Elements of +inf have equal shares of 1 in a
// softmax. Where all elements are -inf, no class has a share, and logsumexp is -inf.
#pragma once

#include "cpu/kernels/double_math.inl.h"
#include "cpu/kernels/rows.inl.h"
#include "group/scalar_math.h"

namespace cavs {
namespace {

template <class T>
constexpr T kInfinite = static_cast<T>(__builtin_inf());

template <class T>
CAVS_INLINE bool is_infinite(T x) {
  return x == kInfinite<T> || x == -kInfinite<T>;
}

template <class T>
T row_maximum(const T* x, int64_t n) {
  if (n < kLanes<T>) {
    T result = x[0];
    for (int64_t i = 1; i < n; ++i) result = larger(x[i], result);
    return result;
  }
  Vec<T> lanes = load_vector(x);
  for (int64_t i = kLanes<T>; i + kLanes<T> <= n; i += kLanes<T>)
    lanes = maximum_(load_vector(x + i), lanes);
  return max_lanes<T>(maximum_(load_vector(x + n - kLanes<T>), lanes));  // takes some twice
}

template <class T>
CAVS_INLINE T log_scalar(T x) {
  return log_(splat(x))[0];
}

template <class T>
CAVS_INLINE T exp_scalar(T x) {
  return exp_(splat(x))[0];
}

// exp(x - shift) of a few elements, with zeros in the lanes beyond. These lanes do not compute
// exp(-inf), because a result that underflows takes a processor as long as the rest of a short row.
template <class T>
CAVS_INLINE Vec<T> exp_lanes(const T* x, T shift, int64_t n) {
  return keep_lanes(exp_(load_lanes(x, n, shift) - shift), n);
}

// Sum of exp(x - shift); the terms go to `terms` where it is not null.
template <class T>
T exp_total(const T* x, T shift, T* terms, int64_t n) {
  Vec<T> lanes = {};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> term = exp_(load_vector(x + i) - shift);
    if (terms != nullptr) store_vector(terms + i, term);
    lanes += term;
  }
  if (i < n) {
    const Vec<T> term = exp_lanes(x + i, shift, n - i);
    if (terms != nullptr) store_lanes<T>(terms + i, term, n - i);
    lanes += term;
  }
  return sum_lanes<T>(lanes);
}

template <class T>
void multiply_row(T* x, T factor, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_vector<T>(x + i, load_vector(x + i) * factor);
  for (; i < n; ++i) x[i] *= factor;
}

// Calls body(x, y, length) for each of the `outer` groups of each row. A group has `inner` lines of
// `length` elements, and in y one element a line where the kernel reduces. Where there are several,
// it is columns(x, y, length, inner) that takes them together.
template <class T, class Body, class Columns>
void for_each_group(const KernelCall& call, bool reduces, Body body, Columns columns) {
  const auto [outer, length, inner] = attributes_of<AxisAttributes>(call);
  const int64_t step = length * inner, y_step = reduces ? inner : step;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* x = row_of<T>(call.in[0], r);
    T* y = row_of<T>(call.out[0], r);
    for (int64_t g = 0; g < outer; ++g, x += step, y += y_step) {
      if (inner == 1) {
        body(x, y, length);
      } else {
        columns(x, y, length, inner);
      }
    }
  }
}

// The same where there is one line in each group.
template <class T, class Body>
void for_each_group(const KernelCall& call, bool reduces, Body body) {
  for_each_group<T>(call, reduces, body, [](const T*, T*, int64_t, int64_t) {});
}

// Rows of `columns` elements that stand one after the other.
template <class T>
CAVS_INLINE Operand rows_at(const T* data, int64_t columns) {
  Operand rows;
  rows.data = const_cast<T*>(data);
  rows.ld = rows.size = columns;
  return rows;
}

// Counts the elements of +inf, which share the limit of a softmax.
template <class T>
T count_infinite(const T* x, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += x[i] == kInfinite<T>;
  return static_cast<T>(count);
}

// y is `share` where x is +inf, else `rest`.
template <class T>
void share_row(const T* x, T* y, T share, T rest, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] == kInfinite<T> ? share : rest;
}

// Collects the rows' results log(total) + shift, and takes their logarithms together.
template <class T>
class Logarithms {
 public:
  CAVS_INLINE void add(T* target, T total, T shift) {
    targets_[count_] = target;
    totals_[count_] = total;
    shifts_[count_] = shift;
    if (++count_ == kLanes<T>) finish();
  }

  CAVS_INLINE void finish() {
    const Vec<T> results = log_(load_vector(totals_)) + load_vector(shifts_);
    for (int64_t i = 0; i < count_; ++i) *targets_[i] = results[i];
    count_ = 0;
  }

 private:
  T* targets_[kLanes<T>];
  T totals_[kLanes<T>] = {};
  T shifts_[kLanes<T>] = {};
  int64_t count_ = 0;
};

// The number to subtract before exp: the maximum, or 0 where the maximum is infinite. exp then
// reaches the limit by itself.
template <class T>
CAVS_INLINE Vec<T> shift_of(Vec<T> top) {
  return select(abs_(top) == splat(kInfinite<T>), Vec<T>{}, top);
}

// Columns [j, j + kLanes) of a row, as many as there are.
template <class T>
CAVS_INLINE Vec<T> load_columns(const T* row, int64_t j, int64_t n) {
  return j + kLanes<T> <= n ? load_vector(row + j) : load_lanes(row + j, n - j, T(0));
}

template <class T>
CAVS_INLINE void store_columns(T* row, int64_t j, int64_t n, Vec<T> value) {
  if (j + kLanes<T> <= n) return store_vector(row + j, value);
  store_lanes<T>(row + j, value, n - j);
}

// logsumexp of the rows that row(begin) .. row(end - 1) give, column by column.
template <class T, class Row>
CAVS_INLINE void logsumexp_columns(T* target, int64_t begin, int64_t end, int64_t n, Row row) {
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    Vec<T> top = load_columns(row(begin), j, n);
    for (int64_t i = begin + 1; i < end; ++i) top = maximum_(load_columns(row(i), j, n), top);
    const Vec<T> shift = shift_of<T>(top);
    Vec<T> total = {};
    for (int64_t i = begin; i < end; ++i) total += exp_(load_columns(row(i), j, n) - shift);
    store_columns(target, j, n, log_(total) + shift);
  }
}

template <class T>
void logsumexp(const KernelCall& call) {
  Logarithms<T> logs;
  const auto line = [&](const T* x, T* y, int64_t n) {
    const T top = row_maximum(x, n);
    logs.add(y, is_infinite(top) ? T(1) : exp_total<T>(x, top, nullptr, n), top);
  };
  for_each_group<T>(call, true, line, [](const T* x, T* y, int64_t n, int64_t inner) {
    logsumexp_columns(y, 0, n, inner, [&](int64_t i) { return x + i * inner; });
  });
  logs.finish();
}

// y = factor * softmax(x); `top` is the maximum, or another number near it.
template <class T>
void softmax_row(const T* x, T* y, int64_t n, T top, T factor) {
  if (is_infinite(top)) {
    share_row(x, y, factor / larger(count_infinite(x, n), T(1)), T(0), n);
  } else if (n <= kLanes<T>) {
    const Vec<T> terms = exp_lanes(x, top, n);
    store_lanes<T>(y, terms * (factor / sum_lanes<T>(terms)), n);
  } else {
    const T total = exp_total(x, top, y, n);
    multiply_row(y, factor / total, n);
  }
}

// The gradient of y = logsumexp(x): for each of the `outer` groups of a row, its cotangent times
// its softmax. An infinite y has no gradient. y serves in place of the maximum, because it is
// known.
template <class T>
void logsumexp_grad(const KernelCall& call) {
  const auto [outer, n, inner] = attributes_of<AxisAttributes>(call);
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    const T* dy = row_of<T>(call.in[0], r);
    const T* y = row_of<T>(call.in[1], r);
    const T* x = row_of<T>(call.in[2], r);
    T* dx = row_of<T>(call.out[0], r);
    for (int64_t g = 0; g < outer; ++g, x += n, dx += n) {
      if (is_infinite(y[g])) {
        fill_row(dx, T(0), n);
      } else {
        softmax_row(x, dx, n, y[g], dy[g]);
      }
    }
  }
}

// Softmax over the rows [begin, end), which are one segment.
template <class T>
void softmax_segment(const Operand& in, const Operand& out, int64_t begin, int64_t end) {
  const int64_t n = out.size;
  if (in.ld == 1 && out.ld == 1) {  // the numbers stand side by side as in a row
    const T* x = row_of<T>(in, begin);
    const int64_t count = end - begin;
    return softmax_row(x, row_of<T>(out, begin), count, row_maximum(x, count), T(1));
  }
  const Vec<T> zero = {}, one = splat(T(1)), infinity = splat(kInfinite<T>);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    Vec<T> top = load_columns<T>(row_of<T>(in, begin), j, n);
    for (int64_t r = begin + 1; r < end; ++r)
      top = maximum_(load_columns<T>(row_of<T>(in, r), j, n), top);
    const Vec<T> shift = shift_of<T>(top);
    Vec<T> total = {};
    for (int64_t r = begin; r < end; ++r) {
      const Vec<T> x = load_columns<T>(row_of<T>(in, r), j, n);
      const Vec<T> share = select(x == infinity, one, zero);
      const Vec<T> term = select(top == infinity, share, exp_(x - shift));
      store_columns(row_of<T>(out, r), j, n, term);
      total += term;
    }
    const Vec<T> scale = select(total == zero, zero, one / total);
    for (int64_t r = begin; r < end; ++r) {
      T* y = row_of<T>(out, r);
      store_columns(y, j, n, load_columns<T>(y, j, n) * scale);
    }
  }
}

// Finite elements take their limits from (x - top) - log(total); infinite ones share as in softmax.
template <class T>
void log_softmax_row(const T* x, T* y, int64_t n) {
  const T top = row_maximum(x, n);
  if (is_infinite(top)) {
    share_row(x, y, -log_scalar(count_infinite(x, n)), -kInfinite<T>, n);
  } else {
    const T log_total = log_scalar(exp_total<T>(x, top, nullptr, n));
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - top) - log_total;
  }
}

// log softmax over the rows [begin, end), which are one segment.
template <class T>
void log_softmax_segment(const Operand& in, const Operand& out, int64_t begin, int64_t end) {
  const int64_t n = out.size;
  if (in.ld == 1 && out.ld == 1) {  // the numbers stand side by side as in a row
    return log_softmax_row(row_of<T>(in, begin), row_of<T>(out, begin), end - begin);
  }
  const Vec<T> zero = {}, one = splat(T(1)), infinity = splat(kInfinite<T>);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const auto x = [&](int64_t r) { return load_columns<T>(row_of<T>(in, r), j, n); };
    Vec<T> top = x(begin);
    for (int64_t r = begin + 1; r < end; ++r) top = maximum_(x(r), top);
    const Vec<T> shift = shift_of<T>(top);
    Vec<T> total = {};
    for (int64_t r = begin; r < end; ++r) {
      const Vec<T> share = select(x(r) == infinity, one, zero);
      total += select(top == infinity, share, exp_(x(r) - shift));
    }
    const Vec<T> log_total = log_(select(total == zero, one, total));
    for (int64_t r = begin; r < end; ++r) {
      const Vec<T> share = select(x(r) == infinity, -log_total, -infinity);
      const Vec<T> value = select(top == infinity, share, (x(r) - shift) - log_total);
      store_columns(row_of<T>(out, r), j, n, value);
    }
  }
}

template <class T>
void softmax(const KernelCall& call) {
  const auto line = [](const T* x, T* y, int64_t n) {
    softmax_row(x, y, n, row_maximum(x, n), T(1));
  };
  for_each_group<T>(call, false, line, [](const T* x, T* y, int64_t n, int64_t inner) {
    softmax_segment<T>(rows_at(x, inner), rows_at(y, inner), 0, n);
  });
}

template <class T>
void log_softmax(const KernelCall& call) {
  const auto columns = [](const T* x, T* y, int64_t n, int64_t inner) {
    log_softmax_segment<T>(rows_at(x, inner), rows_at(y, inner), 0, n);
  };
  for_each_group<T>(call, false, log_softmax_row<T>, columns);
}

// logsumexp over the rows that each row of the table stands for, column by column; -inf where it
// stands for none.
template <class T>
void segment_logsumexp(const KernelCall& call) {
  const IndexTable& table = *table_of(call, 0);
  const Operand& in = call.in[0];
  const int64_t n = call.out[0].size;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    T* target = row_of<T>(call.out[0], r);
    const int64_t begin = table.ptr[r], end = table.ptr[r + 1];
    if (begin == end) {
      fill_row(target, -kInfinite<T>, n);
      continue;
    }
    if (begin + 1 == end) {
      copy_row(target, segment_row<T>(in, table, begin), n);
      continue;
    }
    logsumexp_columns(target, begin, end, n,
                      [&](int64_t i) { return segment_row<T>(in, table, i); });
  }
}

// Calls body(begin, end) for the edges of each vertex. They stand together and have the vertex's
// number in the index.
template <class Body>
CAVS_INLINE void for_each_family(const KernelCall& call, Body body) {
  const int32_t* parent = index_of(call, 0);
  for (int64_t begin = call.row_begin, end; begin < call.row_end; begin = end) {
    end = begin + 1;
    while (end < call.row_end && parent[end] == parent[begin]) ++end;
    body(begin, end);
  }
}

template <class T>
void segment_softmax(const KernelCall& call) {
  for_each_family(call, [&](int64_t begin, int64_t end) {
    softmax_segment<T>(call.in[0], call.out[0], begin, end);
  });
}

template <class T>
void segment_log_softmax(const KernelCall& call) {
  for_each_family(call, [&](int64_t begin, int64_t end) {
    log_softmax_segment<T>(call.in[0], call.out[0], begin, end);
  });
}

}  // namespace
}  // namespace cavs
