"""Elementwise operations: one row each.

Their native formulas are in csrc/group/scalar_ops.h; tests hold the two together.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any, overload

from cavs._arguments import shown
from cavs.core.ops._def import OpDef, apply, define, per_element, same_shape
from cavs.core.ops._formulas import (
    HALF_SQRT_PI,
    reference_erfinv,
    reference_sigmoid,
    reference_softplus,
)
from cavs.core.ops._protocols import Applies, R, Symbolic, apply_to, binary
from cavs.errors import InputError


def row(
    name: str,
    arity: int,
    flops: int,
    vjp: Callable[..., tuple[Any, ...]],
    reference: Callable[..., Any],
    **facts: Any,
) -> OpDef:
    """An elementwise operation: its number of operands, FLOPs, gradient, reference and facts."""
    return define(
        name,
        arity=arity,
        infer=same_shape,
        flops=per_element(flops),
        vjp=vjp,
        elementwise=True,
        reference=reference,
        **facts,
    )


def _comparison(name: str, compare: Callable[[Any, Any, Any], Any]) -> OpDef:
    def reference(np: Any, a: Any, b: Any) -> Any:
        return compare(np, a, b) * np.ones((), np.result_type(a, b))

    return row(name, 2, 1, lambda dy, y, a, b: (None, None), reference, constant_in=(0, 1))


def _equals_beside(value: float, *positions: int) -> Callable[[Sequence[float | None]], int | None]:
    """Of two operands the other one, if an operand at one of `positions` is `value`."""

    def other(values: Sequence[float | None]) -> int | None:
        return next((1 - i for i in positions if values[i] == value), None)

    return other


# Before the rows whose gradients are made of them.
GREATER = _comparison("greater", lambda np, a, b: a > b)
GREATER_EQUAL = _comparison("greater_equal", lambda np, a, b: a >= b)


@binary
def greater(a: Any, b: Any) -> Any:
    """Elementwise 1.0 where a > b, else 0.0; no gradient."""
    return apply(GREATER, a, b)


@binary
def greater_equal(a: Any, b: Any) -> Any:
    """Elementwise 1.0 where a >= b, else 0.0; no gradient."""
    return apply(GREATER_EQUAL, a, b)


@binary
def less(a: Any, b: Any) -> Any:
    """Elementwise 1.0 where a < b, else 0.0; no gradient."""
    return apply(LESS, a, b)


@binary
def less_equal(a: Any, b: Any) -> Any:
    """Elementwise 1.0 where a <= b, else 0.0; no gradient."""
    return apply(LESS_EQUAL, a, b)


@binary
def equal(a: Any, b: Any) -> Any:
    """Elementwise 1.0 where a == b, else 0.0; no gradient."""
    return apply(EQUAL, a, b)


def _pow_vjp(dy: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    # A constant, and a base of 0, do not depend on what their slope would be infinite by.
    base = where(equal(b, 0.0), 0.0, dy * b * pow(a, b - 1.0))
    constant = minimum(equal(a, 0.0), greater_equal(b, 0.0))
    return base, where(constant, 0.0, dy * y * log(a))


ADD = row(
    "add",
    2,
    1,
    lambda dy, y, a, b: (dy, dy),
    lambda np, a, b: a + b,
    equals=_equals_beside(0.0, 0, 1),
)
SUB = row(
    "sub",
    2,
    1,
    lambda dy, y, a, b: (dy, -dy),
    lambda np, a, b: a - b,
    equals=_equals_beside(0.0, 1),
)
MUL = row(
    "mul",
    2,
    1,
    lambda dy, y, a, b: (dy * b, dy * a),
    lambda np, a, b: a * b,
    zero_with=(0, 1),
    equals=_equals_beside(1.0, 0, 1),
)
DIV = row(
    "div",
    2,
    4,
    lambda dy, y, a, b: (dy / b, -(dy * y) / b),
    lambda np, a, b: a / b,
    zero_with=(0,),
    equals=_equals_beside(1.0, 1),
)
NEG = row("neg", 1, 1, lambda dy, y, x: (-dy,), lambda np, x: -x)
EXP = row("exp", 1, 10, lambda dy, y, x: (dy * y,), lambda np, x: np.exp(x))
# A cotangent of 0 stays 0 where the slope is infinite, as for impossible events in log space.
LOG = row(
    "log",
    1,
    10,
    lambda dy, y, x: (where(equal(dy, 0.0), 0.0, dy / x),),
    lambda np, x: np.log(x),
)
SQRT = row("sqrt", 1, 4, lambda dy, y, x: (dy * 0.5 / y,), lambda np, x: np.sqrt(x))
RSQRT = row(
    "rsqrt",
    1,
    6,
    lambda dy, y, x: (dy * -0.5 * y * y * y,),
    lambda np, x: 1 / np.sqrt(x),
)
RECIPROCAL = row("reciprocal", 1, 4, lambda dy, y, x: (-dy * y * y,), lambda np, x: 1 / x)
SQUARE = row("square", 1, 1, lambda dy, y, x: (dy * 2.0 * x,), lambda np, x: x * x)
ABS = row("abs", 1, 1, lambda dy, y, x: (dy * sign(x),), lambda np, x: np.abs(x))
SIGN = row("sign", 1, 1, lambda dy, y, x: (None,), lambda np, x: np.sign(x), constant_in=(0,))
SIGMOID_GRAD = row(
    "sigmoid_grad",
    2,
    3,
    lambda d, _, dy, y: (sigmoid_grad(d, y), d * dy * (1.0 - 2.0 * y)),
    lambda np, dy, y: dy * y * (1 - y),
    zero_with=(0,),
)
TANH_GRAD = row(
    "tanh_grad",
    2,
    3,
    lambda d, _, dy, y: (tanh_grad(d, y), d * dy * -2.0 * y),
    lambda np, dy, y: dy * (1 - y * y),
    zero_with=(0,),
)
SIGMOID = row("sigmoid", 1, 12, lambda dy, y, x: (sigmoid_grad(dy, y),), reference_sigmoid)
TANH = row(
    "tanh",
    1,
    12,
    lambda dy, y, x: (tanh_grad(dy, y),),
    lambda np, x: np.tanh(x),
)
RELU = row(
    "relu",
    1,
    1,
    lambda dy, y, x: (dy * greater(x, 0.0),),
    lambda np, x: np.maximum(x, 0),
)
ERFINV = row(
    "erfinv",
    1,
    40,
    lambda dy, y, x: (dy * exp(y * y) * HALF_SQRT_PI,),
    reference_erfinv,
)
SOFTPLUS = row(
    "softplus",
    1,
    20,
    lambda dy, y, x: (dy * sigmoid(x),),
    reference_softplus,
)
MAXIMUM = row(
    "maximum",
    2,
    1,
    lambda dy, y, a, b: (dy * greater(a, b), dy * greater_equal(b, a)),
    lambda np, a, b: np.maximum(a, b),
)
MINIMUM = row(
    "minimum",
    2,
    1,
    lambda dy, y, a, b: (dy * less(a, b), dy * less_equal(b, a)),
    lambda np, a, b: np.minimum(a, b),
)
WHERE = row(
    "where",
    3,
    1,
    lambda dy, y, c, a, b: (None, where(c, dy, 0.0), where(c, 0.0, dy)),
    lambda np, c, a, b: np.where(c != 0, a, b),
    constant_in=(0,),
)
# Says into which state a value goes; attributes keep equal values of two states apart. With `to`, a
# value without rows for each of these rows.
IDENTITY = row(
    "identity",
    1,
    0,
    lambda dy, y, x, **_: (dy,),
    lambda np, x, **_: x,
    may_add_rows=True,
    space=lambda spaces, attrs, parents: attrs.get("to") or spaces[0],
)
STOP_GRADIENT = row(
    "stop_gradient", 1, 0, lambda dy, y, x: (None,), lambda np, x: x, constant_in=(0,)
)
POW = row(
    "pow",
    2,
    60,
    _pow_vjp,
    lambda np, a, b: np.power(a, b),
    equals=lambda values: 0 if values[1] == 1.0 else None,
)
LESS = _comparison("less", lambda np, a, b: a < b)
LESS_EQUAL = _comparison("less_equal", lambda np, a, b: a <= b)
EQUAL = _comparison("equal", lambda np, a, b: a == b)


def exp(x: Applies[R]) -> R:
    """Elementwise e ** x."""
    return apply_to(EXP, x)


def log(x: Applies[R]) -> R:
    """Elementwise natural logarithm: -inf of 0, where a cotangent of 0 gives a gradient of 0."""
    return apply_to(LOG, x)


def sqrt(x: Applies[R]) -> R:
    """Elementwise square root."""
    return apply_to(SQRT, x)


def rsqrt(x: Applies[R]) -> R:
    """Elementwise 1 / sqrt(x)."""
    return apply_to(RSQRT, x)


def reciprocal(x: Applies[R]) -> R:
    """Elementwise 1 / x."""
    return apply_to(RECIPROCAL, x)


def square(x: Applies[R]) -> R:
    """Elementwise x * x."""
    return apply_to(SQUARE, x)


def abs(x: Applies[R]) -> R:
    """Elementwise absolute value; gradient 0 at 0."""
    return apply_to(ABS, x)


def sign(x: Applies[R]) -> R:
    """Elementwise sign, 0 at 0; no gradient."""
    return apply_to(SIGN, x)


def sigmoid(x: Applies[R]) -> R:
    """Elementwise logistic function 1 / (1 + exp(-x))."""
    return apply_to(SIGMOID, x)


def sigmoid_grad(dy: Any, y: Any) -> Any:
    """dy * y * (1 - y): the cotangent of x in y = sigmoid(x)."""
    return apply(SIGMOID_GRAD, dy, y)


def tanh(x: Applies[R]) -> R:
    """Elementwise hyperbolic tangent."""
    return apply_to(TANH, x)


def tanh_grad(dy: Any, y: Any) -> Any:
    """dy * (1 - y * y): the cotangent of x in y = tanh(x)."""
    return apply(TANH_GRAD, dy, y)


def relu(x: Applies[R]) -> R:
    """Elementwise max(x, 0); gradient 0 at 0."""
    return apply_to(RELU, x)


def erfinv(x: Applies[R]) -> R:
    """Elementwise inverse of the error function, for x in -1..1; NaN outside."""
    return apply_to(ERFINV, x)


def stop_gradient(x: Applies[R]) -> R:
    """`x`, through which no gradient flows."""
    return apply_to(STOP_GRADIENT, x)


def softplus(x: Applies[R]) -> R:
    """Elementwise log(1 + exp(x)), without overflow."""
    return apply_to(SOFTPLUS, x)


@binary
def pow(a: Any, b: Any) -> Any:
    """Elementwise a ** b, for any numbers: as C's ``pow``, and with PyTorch's gradients. Shapes
    broadcast.

    1 where b is 0 or a is 1; NaN where a is negative and b no integer. The gradient of a is
    b a ** (b - 1), 0 where b is 0, and that of b is a ** b log(a), 0 where a is 0 and b is not
    negative.
    """
    return apply(POW, a, b)


@binary
def maximum(a: Any, b: Any) -> Any:
    """Elementwise maximum; where equal, the gradient goes to the second."""
    return apply(MAXIMUM, a, b)


@binary
def minimum(a: Any, b: Any) -> Any:
    """Elementwise minimum; where equal, the gradient goes to the second."""
    return apply(MINIMUM, a, b)


def clip(x: Applies[R], low: float, high: float) -> R:
    """Elementwise min(max(x, low), high); gradient 0 outside and on the bounds."""
    bounds: list[tuple[str, Any]] = [("low", low), ("high", high)]
    for name, bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, numbers.Real):
            raise InputError(f"[clip] expected a number {name}, got {shown(bound)}; pass one")
    y: R = apply(MINIMUM, apply(MAXIMUM, x, float(low)), float(high))
    return y


@overload
def where(condition: Symbolic[R], a: Any, b: Any) -> R: ...
@overload
def where(condition: Any, a: Symbolic[R], b: Any) -> R: ...
@overload
def where(condition: Any, a: Any, b: Symbolic[R]) -> R: ...
@overload
def where(condition: Applies[R], a: Any, b: Any) -> R: ...
@overload
def where(condition: Any, a: Applies[R], b: Any) -> R: ...
@overload
def where(condition: Any, a: Any, b: Applies[R]) -> R: ...
def where(condition: Any, a: Any, b: Any) -> Any:
    """Elementwise `a` where `condition` is not zero, else `b`; no gradient to the condition."""
    return apply(WHERE, condition, a, b)
