// The lane type of scalar_math.h that writes operations on vectors down instead of computing them.
#pragma once

#include "group/vector_code.h"

#define CAVS_INLINE inline __attribute__((always_inline))

namespace cavs {
namespace {

// A value of the list that is being written on this thread.
thread_local VectorCode* current_code = nullptr;

CAVS_INLINE int written(VectorOp op, int a, int b = -1, int c = -1, int d = -1, int number = 0) {
  return current_code->add(op, number, {a, b, c, d});
}

struct Symbol {
  int value = -1;
  Symbol() = default;
  Symbol(float number) : value(current_code->constant(number)) {}  // NOLINT: as vectors do
  static Symbol of(int value) {
    Symbol symbol;
    symbol.value = value;
    return symbol;
  }
};

struct SymbolBits {
  int value;
};

struct Comparison {
  Compare how;
  Symbol a, b;
};

template <class V>
inline V all(float value) {
  return V(value);
}
constexpr bool kRoundsOnce = true;
inline float infinity() { return __builtin_inff(); }
inline float not_a_number() { return __builtin_nanf(""); }

#define CAVS_SYMBOL_OPERATOR(sign, op)                \
  inline Symbol operator sign(Symbol a, Symbol b) {   \
    return Symbol::of(written(op, a.value, b.value)); \
  }
CAVS_SYMBOL_OPERATOR(+, VectorOp::kAdd)
CAVS_SYMBOL_OPERATOR(-, VectorOp::kSub)
CAVS_SYMBOL_OPERATOR(*, VectorOp::kMul)
CAVS_SYMBOL_OPERATOR(/, VectorOp::kDiv)
#undef CAVS_SYMBOL_OPERATOR

inline Symbol operator-(Symbol a) {
  return Symbol::of(written(VectorOp::kXor, a.value, current_code->constant(-0.0f)));
}

#define CAVS_SYMBOL_COMPARE(sign, how) \
  inline Comparison operator sign(Symbol a, Symbol b) { return {how, a, b}; }
CAVS_SYMBOL_COMPARE(==, Compare::kEqual)
CAVS_SYMBOL_COMPARE(!=, Compare::kNotEqual)
CAVS_SYMBOL_COMPARE(<, Compare::kLess)
CAVS_SYMBOL_COMPARE(<=, Compare::kLessEqual)
CAVS_SYMBOL_COMPARE(>=, Compare::kGreaterEqual)
CAVS_SYMBOL_COMPARE(>, Compare::kGreater)
#undef CAVS_SYMBOL_COMPARE

inline Symbol select(Comparison is, Symbol a, Symbol b) {
  return Symbol::of(written(VectorOp::kSelect, is.a.value, is.b.value, a.value, b.value,
                            static_cast<int>(is.how)));
}
inline Symbol at_most(Symbol x, float bound) {
  return Symbol::of(written(VectorOp::kMin, Symbol(bound).value, x.value));
}
inline Symbol at_least(Symbol x, float bound) {
  return Symbol::of(written(VectorOp::kMax, Symbol(bound).value, x.value));
}
inline Symbol maximum_(Symbol a, Symbol b) { return select(a != a, a, select(a > b, a, b)); }
inline Symbol minimum_(Symbol a, Symbol b) { return select(a != a, a, select(a < b, a, b)); }
inline Symbol sqrt_(Symbol x) { return Symbol::of(written(VectorOp::kSqrt, x.value)); }
inline Symbol multiply_add(Symbol a, Symbol b, Symbol c) {
  return Symbol::of(written(VectorOp::kMultiplyAdd, a.value, b.value, c.value));
}
inline Symbol subtract_product(Symbol c, Symbol a, Symbol b) {
  return Symbol::of(written(VectorOp::kSubtractProduct, a.value, b.value, c.value));
}

inline SymbolBits bits_of(Symbol x) { return {x.value}; }
inline Symbol float_of(SymbolBits bits) { return Symbol::of(bits.value); }
inline SymbolBits operator+(SymbolBits a, int32_t b) {
  return {written(VectorOp::kAddBits, a.value, current_code->constant_bits(b))};
}
inline SymbolBits operator-(SymbolBits a, SymbolBits b) {
  return {written(VectorOp::kSubBits, a.value, b.value)};
}
inline SymbolBits operator-(SymbolBits a, int32_t b) { return a + -b; }
inline SymbolBits operator&(SymbolBits a, SymbolBits b) {
  return {written(VectorOp::kAnd, a.value, b.value)};
}
inline SymbolBits operator|(SymbolBits a, SymbolBits b) {
  return {written(VectorOp::kOr, a.value, b.value)};
}
inline SymbolBits operator^(SymbolBits a, SymbolBits b) {
  return {written(VectorOp::kXor, a.value, b.value)};
}
inline SymbolBits operator&(SymbolBits a, int32_t b) {
  return a & SymbolBits{current_code->constant_bits(b)};
}
inline SymbolBits operator<<(SymbolBits a, int count) {
  return {written(VectorOp::kShiftLeft, a.value, -1, -1, -1, count)};
}
inline SymbolBits shift_right(SymbolBits a, int count) {
  return {written(VectorOp::kShiftRight, a.value, -1, -1, -1, count)};
}
inline Symbol to_float(SymbolBits bits) {
  return Symbol::of(written(VectorOp::kToFloat, bits.value));
}
inline Symbol sine_where_far(Comparison far, Symbol x, Symbol near, int quarter) {
  return Symbol::of(written(quarter == 0 ? VectorOp::kSineWhere : VectorOp::kCosineWhere,
                            far.a.value, far.b.value, x.value, near.value,
                            static_cast<int>(far.how)));
}
inline Symbol abs_(Symbol x) { return float_of(bits_of(x) & 0x7fffffff); }

}  // namespace
}  // namespace cavs
