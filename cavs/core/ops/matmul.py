"""Matrix products, per row of features or with a shared parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from cavs.core.attributes import MatmulAttributes
from cavs.core.ops._def import Between, Shape, apply, define, shape_of, size_of
from cavs.core.ops._protocols import Applies, R, Symbolic, binary
from cavs.core.ops._spaces import SpaceKind, rows
from cavs.core.ops.constant import constant
from cavs.core.ops.shape import broadcast, broadcast_shapes, concat, reshape, slice_last
from cavs.errors import ShapeError


def _dims(a: Shape, b: Shape, ta: bool, tb: bool) -> tuple[int, int, int]:
    if len(a) < 2 or len(b) < 2 or a[:-2] != b[:-2]:
        raise ShapeError(f"[matmul] expected two matrices, got shapes {a} and {b}; reshape them")
    m, k = a[:-3:-1] if ta else a[-2:]
    k2, n = b[:-3:-1] if tb else b[-2:]
    if k != k2:
        raise ShapeError(
            f"[matmul] expected equal inner sizes, got {k} and {k2} (shapes "
            f"{a}{'^T' if ta else ''} and {b}{'^T' if tb else ''}); transpose or reshape one"
        )
    return m, k, n


def _infer(a: Shape, b: Shape, *, ta: bool, tb: bool) -> Shape:
    # Tensors alone have axes in front: in a vertex function there is a product for each matrix.
    m, _, n = _dims(a, b, ta, tb)
    return (*a[:-2], m, n)


def _of_product(shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> MatmulAttributes:
    ta, tb = attrs["ta"], attrs["tb"]
    return MatmulAttributes(ta, tb, out[0], shapes[0][0 if ta else 1], out[1])


def _t(np: Any, x: Any, transpose: bool) -> Any:
    return np.swapaxes(x, -1, -2) if transpose else x


def _product(a: Any, b: Any, ta: bool, tb: bool, like: Any) -> Any:
    """op(a) op(b), the cotangent of `like`: summed over the rows if `like` has none."""
    rows = any(x.space != SpaceKind.NONE for x in (a, b))
    op = MATMUL_REDUCE if rows and like.space == SpaceKind.NONE else MATMUL
    return apply(op, a, b, ta=ta, tb=tb)


def _vjp(dy: Any, y: Any, a: Any, b: Any, *, ta: bool, tb: bool) -> tuple[Any, Any]:
    da = _product(b, dy, tb, True, a) if ta else _product(dy, b, False, not tb, a)
    db = _product(dy, a, True, ta, b) if tb else _product(a, dy, not ta, False, b)
    return da, db


MATMUL = define(
    "matmul",
    arity=2,
    infer=_infer,
    flops=lambda shapes, out: 2 * out[0] * out[1] * (shapes[0][0] * shapes[0][1] // max(out[0], 1)),
    vjp=_vjp,
    zero_with=(0, 1),
    attributes=_of_product,
    reference=lambda np, a, b, *, ta, tb: np.matmul(_t(np, a, ta), _t(np, b, tb)),
)


def _reference_reduce(np: Any, a: Any, b: Any, *, ta: bool, tb: bool) -> Any:
    y = np.matmul(_t(np, a, ta), _t(np, b, tb))
    return y.sum(axis=tuple(range(y.ndim - 2)))


MATMUL_REDUCE = define(
    "matmul_reduce",
    arity=2,
    infer=_infer,
    flops=MATMUL.flops,
    space=rows(SpaceKind.NONE),
    reduces=Between.ALL,
    vjp=_vjp,
    zero_with=(0, 1),
    attributes=_of_product,
    reference=_reference_reduce,
)


@binary
def matmul(a: Any, b: Any) -> Any:
    """Matrix product of features: (..., m, k) times (..., k, n), as NumPy's.

    Either operand may be a parameter, shared by all rows. A vector on the left is a row, on the
    right a column, and its axis is dropped from the result. Axes in front of matrices, such as one
    of heads, broadcast; in a vertex function they are at most 256 matrices. A transposed matrix,
    ``x.T`` or an order of axes, costs nothing where it is one of two axes.

    Raises:
        ShapeError: an operand is a number, sizes along the sum differ, axes in front do not
            broadcast, or there are too many of them.
    """
    if () in (shape_of("matmul", a), shape_of("matmul", b)):
        raise ShapeError(
            f"[matmul] expected vectors or matrices, got {a.shape} and {b.shape}; use *"
        )
    if len(a.shape) > 2 or len(b.shape) > 2:
        return _product_of_many(a, b)
    left = reshape(a, (1, a.shape[0])) if len(a.shape) == 1 else a
    # Arrays beside tensors have no rows either.
    spaces = [getattr(operand, "space", SpaceKind.NONE) for operand in (a, b)]
    if len(b.shape) == 1 and spaces[0] == SpaceKind.NONE != spaces[1] and len(a.shape) == 2:
        # A shared matrix times a column per row is a linear layer: one product over all rows.
        y = apply(MATMUL, reshape(b, (1, b.shape[0])), a, ta=False, tb=True)
        return reshape(y, (a.shape[0],))
    right = reshape(b, (b.shape[0], 1)) if len(b.shape) == 1 else b
    y = apply(MATMUL, left, right, ta=False, tb=False)
    shape = (a.shape[:-1] if len(a.shape) == 2 else ()) + (b.shape[1:])
    return reshape(y, shape)


_MOST_MATRICES = 256
"""Of a vertex function: each product is an instruction."""


def _product_of_many(a: Any, b: Any) -> Any:
    """A product where an operand has axes in front of its matrices."""
    a, b = (constant(x) if isinstance(x, np.ndarray) else x for x in (a, b))
    if len(b.shape) <= 2:  # all lines in front of one matrix
        lines = reshape(a, (size_of(a.shape[:-1]), a.shape[-1]))
        y = matmul(lines, b)
        return reshape(y, (*a.shape[:-1], *b.shape[1:]))
    of_a = a.shape if len(a.shape) > 1 else (1, *a.shape)
    (m, k), (rows, n) = of_a[-2:], b.shape[-2:]
    _dims((m, k), (rows, n), False, False)
    batch = broadcast_shapes([of_a[:-2], b.shape[:-2]], MATMUL)
    if hasattr(reshape(b, (size_of(b.shape),)), "__cavs_symbol__"):
        if size_of(batch) > _MOST_MATRICES:
            raise ShapeError(
                f"[matmul] expected up to {_MOST_MATRICES} matrices, got {size_of(batch)} of "
                f"shapes {a.shape} and {b.shape}; multiply and sum by * and ops.sum"
            )
        lefts, rights = _matrices(a, of_a, batch), _matrices(b, b.shape, batch)
        products = [
            reshape(apply(MATMUL, x, w, ta=False, tb=False), (m * n,))
            for x, w in zip(lefts, rights, strict=True)
        ]
        y = concat(products)
    else:
        left, right = reshape(a, of_a), b
        left, right = broadcast(left, (*batch, m, k)), broadcast(right, (*batch, k, n))
        y = apply(MATMUL, left, right, ta=False, tb=False)
    return reshape(y, (*batch, n) if len(a.shape) == 1 else (*batch, m, n))


def _matrices(x: Any, shape: Shape, batch: Shape) -> list[Any]:
    """The matrices of `x`, of this shape, for each place of `batch`."""
    size = size_of(shape[-2:])
    flat = reshape(x, (size_of(shape),))
    places = np.arange(size_of(shape[:-2])).reshape(shape[:-2])
    numbers = np.broadcast_to(places, batch).reshape(-1).tolist()
    made = {
        i: reshape(slice_last(flat, i * size, (i + 1) * size), shape[-2:]) for i in set(numbers)
    }
    return [made[i] for i in numbers]


@overload
def linear(x: Symbolic[R], weight: Any, bias: Any = None) -> R: ...
@overload
def linear(x: Any, weight: Symbolic[R], bias: Any = None) -> R: ...
@overload
def linear(x: Applies[R], weight: Any, bias: Any = None) -> R: ...
@overload
def linear(x: Any, weight: Applies[R], bias: Any = None) -> R: ...
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x W^T + b.

    Shapes: x (in,) or (m, in), weight (out, in), bias (out,) -> (out,) or (m, out).
    """
    shape_of("linear", x)
    if (
        len(shape_of("linear", weight)) != 2
        or len(x.shape) not in (1, 2)
        or x.shape[-1] != weight.shape[1]
    ):
        expected = f"(..., {weight.shape[-1]})" if len(weight.shape) == 2 else "a matrix weight"
        raise ShapeError(
            f"[linear] expected an input of shape {expected}, got {x.shape}, for a weight of "
            f"shape {weight.shape}; change one of them"
        )
    vector = len(x.shape) == 1
    y = apply(MATMUL, reshape(x, (1, x.shape[0])) if vector else x, weight, ta=False, tb=True)
    if vector:
        y = reshape(y, (weight.shape[0],))
    return y if bias is None else y + bias
