// The scalar operations: name, number of operands, value. An expression is written over a, b, c of
// a lane type (see scalar_math.h), whose comparisons give masks; `select` turns masks into values.
// An operation's number is its place in the list.
#pragma once

#define CAVS_SCALAR_OPS(OP)                                                             \
  OP(add, 2, a + b)                                                                     \
  OP(sub, 2, a - b)                                                                     \
  OP(mul, 2, a* b)                                                                      \
  OP(div, 2, a / b)                                                                     \
  OP(neg, 1, -a)                                                                        \
  OP(exp, 1, exp_(a))                                                                   \
  OP(log, 1, log_(a))                                                                   \
  OP(sqrt, 1, sqrt_(a))                                                                 \
  OP(square, 1, a* a)                                                                   \
  OP(abs, 1, abs_(a))                                                                   \
  OP(sigmoid, 1, sigmoid_(a))                                                           \
  OP(tanh, 1, tanh_(a))                                                                 \
  OP(relu, 1, select(a < zero, zero, a))                                                \
  OP(softplus, 1, select(a < zero, zero, a) + log1p_exp_minus_abs(a))                   \
  OP(erfinv, 1, erfinv_(a))                                                             \
  OP(where, 3, select(a != zero, b, c))                                                 \
  OP(minimum, 2, minimum_(a, b))                                                        \
  OP(maximum, 2, maximum_(a, b))                                                        \
  OP(greater, 2, select(a > b, one, zero))                                              \
  OP(greater_equal, 2, select(a >= b, one, zero))                                       \
  OP(less, 2, select(a < b, one, zero))                                                 \
  OP(less_equal, 2, select(a <= b, one, zero))                                          \
  OP(equal, 2, select(a == b, one, zero))                                               \
  OP(sign, 1, select(a > zero, one, select(a < zero, -one, a)))                         \
  OP(reciprocal, 1, one / a)                                                            \
  OP(rsqrt, 1, one / sqrt_(a))                                                          \
  OP(identity, 1, a)                                                                    \
  OP(stop_gradient, 1, a)                                                               \
  OP(bce_with_logits, 2,                                                                \
     times_unless_zero(select(a < zero, b, one - b), abs_(a)) + log1p_exp_minus_abs(a)) \
  OP(squared_error, 2, (a - b) * (a - b))                                               \
  OP(sigmoid_grad, 2, a * b * (one - b))                                                \
  OP(tanh_grad, 2, a* subtract_product(one, b, b))                                      \
  OP(pow, 2, pow_(a, b))                                                                \
  OP(sin, 1, sine(a, 0))                                                                \
  OP(cos, 1, sine(a, 1))                                                                \
  OP(erf, 1, erf_(a))                                                                   \
  OP(gelu, 1, gelu_(a))                                                                 \
  OP(silu, 1, silu_(a))                                                                 \
  OP(elu, 2, select(a > zero, a, b * expm1_(a)))                                        \
  OP(leaky_relu, 2, select(a > zero, a, a * b))                                         \
  OP(log1p, 1, log1p_(a))                                                               \
  OP(expm1, 1, expm1_(a))                                                               \
  OP(lgamma, 1, lgamma_(a))                                                             \
  OP(digamma, 1, digamma_(a))                                                           \
  OP(zeta, 2, zeta_(a, b))

// FLOPs of an element, of the operations that count as more or less than one.
#define CAVS_SCALAR_FLOPS(OP) \
  OP(div, 4)                  \
  OP(exp, 10)                 \
  OP(log, 10)                 \
  OP(sqrt, 4)                 \
  OP(sigmoid, 12)             \
  OP(tanh, 12)                \
  OP(softplus, 20)            \
  OP(erfinv, 40)              \
  OP(reciprocal, 4)           \
  OP(rsqrt, 6)                \
  OP(identity, 0)             \
  OP(stop_gradient, 0)        \
  OP(bce_with_logits, 22)     \
  OP(squared_error, 2)        \
  OP(sigmoid_grad, 3)         \
  OP(tanh_grad, 3)            \
  OP(pow, 60)                 \
  OP(sin, 20)                 \
  OP(cos, 20)                 \
  OP(erf, 25)                 \
  OP(gelu, 30)                \
  OP(silu, 12)                \
  OP(elu, 12)                 \
  OP(log1p, 20)               \
  OP(expm1, 12)               \
  OP(lgamma, 80)              \
  OP(digamma, 50)             \
  OP(zeta, 400)
