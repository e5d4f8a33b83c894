"""Random operations: samples that depend on (seed, step, operation, graph, vertex) and on nothing
else, so not on batching, order, passes or threads. Dropout by id draws by ids in place of graph and
vertex.

All are made of one source, uniform numbers of a counter-based generator (Philox4x32-10, Salmon et
al. 2011), and of ordinary operations, which gradients flow through.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from cavs._arguments import boolean, number, shown
from cavs.core.attributes import DropoutAttributes, UniformAttributes
from cavs.core.ops._def import (
    OpDef,
    Operand,
    Shape,
    along_last_axis,
    apply,
    define,
    per_element,
    size_of,
)
from cavs.core.ops._protocols import Applies, R, apply_to, binary, itself
from cavs.core.ops.elementwise import erfinv, less, log, maximum, stop_gradient
from cavs.core.ops.reduce import softmax
from cavs.errors import InputError, ShapeError

# Numbers are k / 2^24. Doubled and shifted by an odd number of halves they are exact in float32,
# lie evenly within (-1, 1), and never reach its ends.
_CENTRE = 1 - 2.0**-24
_LEAST = 2.0**-25


def _infer_one_hot_max(x: Shape, among: Shape) -> Shape:
    if not x or x != among:
        raise ShapeError(
            f"[one_hot_max] expected two shapes of one feature axis or more, got {(x, among)}; "
            "reshape a scalar to (1,)"
        )
    return x


def _reference_one_hot_max(np: Any, x: Any, among: Any) -> Any:
    top = x.max(axis=-1, keepdims=True)
    key = np.where(x != top, -np.inf, np.where(top == np.inf, among, 0))
    first = np.arange(x.shape[-1]) == key.argmax(axis=-1)[..., None]
    return (first & (top > -np.inf)).astype(x.dtype)


def _of_dropout(shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> DropoutAttributes:
    return DropoutAttributes(attrs["key"], attrs["p"])


# The operand only gives shape and rows; the symbol that is made has no operands.
UNIFORM = define(
    "uniform",
    arity=1,
    infer=lambda *_, shape, **__: shape,
    flops=per_element(8),
    is_source=True,
    random=True,
    attributes=lambda shapes, out, attrs: UniformAttributes(attrs["key"]),
)
DROPOUT: OpDef = define(
    "dropout",
    arity=1,
    infer=lambda shape, *, p, key: shape,
    flops=per_element(8),
    may_add_rows=True,
    random=True,
    drops=True,
    zero_with=(0,),
    attributes=_of_dropout,
    vjp=lambda dy, y, x, *, p, key: (apply(DROPOUT, dy, p=p, key=key),),
)
# A function of the operands alone, ids among them, so passes move it like any other.
DROPOUT_BY_ID: OpDef = define(
    "dropout_by_id",
    arity=-1,
    infer=lambda shape, *ids, p, key: shape,
    operands=(Operand.FLOAT, Operand.IDS),
    flops=per_element(8),
    drops=True,
    zero_with=(0,),
    attributes=_of_dropout,
    vjp=lambda dy, y, x, *ids, p, key: (
        apply(DROPOUT_BY_ID, dy, *ids, p=p, key=key),
        *[None] * len(ids),
    ),
)
# Where the maximum is infinite, the second operand decides between the elements that have it.
ONE_HOT_MAX = define(
    "one_hot_max",
    arity=2,
    infer=_infer_one_hot_max,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=lambda dy, y, x, among: (None, None),
    constant_in=(0, 1),
    attributes=along_last_axis,
    reference=_reference_one_hot_max,
)


def dropout(x: Applies[R], p: float, *, by: str = "vertex") -> R:
    """Zeroes elements with probability p and scales the others by 1 / (1 - p), while training.

    Args:
        x: of any shape.
        p: in [0, 1); with 0 `x` itself comes back.
        by: which rows share a mask. ``vertex``: each row, of a vertex, edge or graph, has its own;
            samples depend on (seed, step, this operation, graph, vertex) alone, not on batching.
            ``id``: all rows of a call that have the same id, or tuple of ids, from which `x` is
            computed. Their mask is drawn by (seed, step, this operation, ids in the order of their
            pulls' names), as Gal and Ghahramani 2016, section 4.2, drop word types. Values that are
            computed for distinct ids then stay so.

    Raises:
        InputError: `p` or `by` is not as above; TraceError: outside of vertex functions, or, by
        id, `x` depends on anything but integer pulls and parameters, or on no pull.
    """
    check_dropout(p, by)
    if p == 0:
        return itself(x)
    attrs: dict[str, Any] = {"by": by} if by == "id" else {}
    return apply_to(DROPOUT, x, p=float(p), key=None, **attrs)


def check_dropout(p: Any, by: Any) -> None:
    """Raises InputError where `p` is no probability below 1 or `by` is not one of its two words."""
    number = isinstance(p, numbers.Real) and not isinstance(p, bool)
    if not number or not 0 <= p < 1:
        raise InputError(
            f"[dropout] expected a probability in [0, 1), got {shown(p)}; pass the share to drop"
        )
    if not isinstance(by, str) or by not in ("vertex", "id"):
        raise InputError(
            f"[dropout] expected by='vertex' or by='id', got {shown(by)}; pass one of these"
        )


def uniform_like(x: Applies[R]) -> R:
    """Uniform numbers in [0, 1), of 24 random bits each, of the shape of `x` and for its rows.

    Raises TraceError for tensors: outside of vertex functions use :class:`cavs.Generator`.
    """
    return apply_to(UNIFORM, x, shape=None, key=None)


def standard_normal(uniform: Any) -> Any:
    """Normal numbers of mean 0 and variance 1 from uniform ones of 24 bits: sqrt(2) erfinv(2 u - 1)
    at the middle of each one's interval. Of the same shape; the largest are +-5.4."""
    return erfinv(uniform * 2.0 - _CENTRE) * math.sqrt(2.0)


def standard_gumbel(uniform: Any) -> Any:
    """Standard Gumbel numbers, -log(-log(u)), from uniform ones. Of the same shape."""
    return -log(maximum(-log(1.0 - uniform), _LEAST))


def gumbel_max(logits: Any, gumbel: Any) -> Any:
    """One-hot samples from softmax(logits) over the last axis by standard Gumbel numbers, of the
    same shape; infinite logits count as in :func:`cavs.ops.softmax`."""
    return apply(ONE_HOT_MAX, logits + gumbel, gumbel)


@binary
def normal(mean: Any, std: Any) -> Any:
    """mean + std * epsilon, epsilon standard normal: a sample through which the gradients of mean
    and standard deviation flow (Kingma and Welling 2014). Shapes broadcast."""
    return mean + std * standard_normal(uniform_like(mean + std))


def bernoulli(p: Applies[R]) -> R:
    """1 with probability `p`, else 0; no gradient. Of the shape of `p`."""
    sample: R = less(uniform_like(p), p)
    return sample


def categorical(logits: Applies[R]) -> R:
    """One-hot samples from softmax(logits) over the last axis, by the Gumbel-max trick; no
    gradient. Never a class of logit -inf: zeros where all are. Shapes: (..., classes) ->
    (..., classes)."""
    sample: R = gumbel_max(logits, standard_gumbel(uniform_like(logits)))
    return sample


def gumbel_softmax(logits: Applies[R], temperature: float, hard: bool = False) -> R:
    """softmax((logits + Gumbel noise) / temperature) over the last axis (Jang et al. 2017; Maddison
    et al. 2017): a relaxed one-hot sample.

    With `hard` the value is one-hot and the gradient that of the relaxed sample ("straight
    through"). Shapes: (..., classes) -> (..., classes).

    Raises:
        InputError: the temperature is not above 0.
    """
    temperature = number("gumbel_softmax", "temperature", temperature, 0, above=True)
    boolean("gumbel_softmax", "hard", hard)
    gumbel = standard_gumbel(uniform_like(logits))
    soft = softmax((logits + gumbel) * (1.0 / temperature))
    sample: R = soft + stop_gradient(gumbel_max(logits, gumbel) - soft) if hard else soft
    return sample


def one_hot_max(x: Applies[R]) -> R:
    """1 at the first maximum of the last axis, else 0; zeros where all elements are -inf; no
    gradient. Of the shape of `x`."""
    y: R = apply(ONE_HOT_MAX, x, x)
    return y
