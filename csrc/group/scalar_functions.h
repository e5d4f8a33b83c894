// Each scalar operation as a function scalar_NAME(a, b, c) of lanes. An operation with fewer
// operands ignores the rest. The lane type comes first: see scalar_math.h.
#pragma once

#include "group/scalar_ops.h"
#include "group/special_math.h"

namespace cavs {
namespace {

#define CAVS_DEFINE_SCALAR(name, arity, expression)                              \
  template <class V>                                                             \
  CAVS_INLINE V scalar_##name(V a, [[maybe_unused]] V b, [[maybe_unused]] V c) { \
    [[maybe_unused]] const V zero = all<V>(0.0f), one = all<V>(1.0f);            \
    return expression;                                                           \
  }
CAVS_SCALAR_OPS(CAVS_DEFINE_SCALAR)
#undef CAVS_DEFINE_SCALAR

}  // namespace
}  // namespace cavs
