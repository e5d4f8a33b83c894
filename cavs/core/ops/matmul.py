"""Matrix products, per row of features or with a shared parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from cavs.core.attributes import MatmulAttributes
from cavs.core.ops._def import (
    Between,
    Shape,
    SpaceKind,
    apply,
    define,
    rows,
    shape_of,
    size_of,
)
from cavs.core.ops._protocols import Applies, R, Symbolic, binary
from cavs.core.ops.shape import broadcast, broadcast_shapes, reshape
from cavs.errors import ShapeError


def _dims(a: Shape, b: Shape, ta: bool, tb: bool) -> tuple[int, int, int]:
    if len(a) != 2 or len(b) != 2:
        raise ShapeError(f"[matmul] expected two matrices, got shapes {a} and {b}; reshape them")
    m, k = a[::-1] if ta else a
    k2, n = b[::-1] if tb else b
    if k != k2:
        raise ShapeError(
            f"[matmul] expected equal inner sizes, got {k} and {k2} (shapes "
            f"{a}{'^T' if ta else ''} and {b}{'^T' if tb else ''}); transpose or reshape one"
        )
    return m, k, n


def _infer(a: Shape, b: Shape, *, ta: bool, tb: bool) -> Shape:
    m, _, n = _dims(a, b, ta, tb)
    return (m, n)


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
    ranks=(2, 2),
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
    """Matrix product, as NumPy's: (..., m, k) times (..., k, n) gives (..., m, n).

    Leading axes broadcast; several matrices on the right are for tensors outside of F. Either
    operand may be a parameter, shared by all rows. A vector (k,) on the left is a row, on the right
    a column, and its axis is dropped from the result.

    Raises:
        ShapeError: an operand without axes, inner sizes that differ, or leading axes that do not
            broadcast.
    """
    of_a, of_b = shape_of("matmul", a), shape_of("matmul", b)
    if not of_a or not of_b:
        raise ShapeError(
            f"[matmul] expected vectors or matrices, got {of_a} and {of_b}; reshape them"
        )
    left = reshape(a, (1, *of_a)) if len(of_a) == 1 else a
    # Arrays beside tensors have no rows either.
    spaces = [getattr(operand, "space", SpaceKind.NONE) for operand in (a, b)]
    if len(of_b) == 1 and spaces[0] == SpaceKind.NONE != spaces[1] and len(of_a) == 2:
        # A shared matrix times a column per row is a linear layer: one product over all rows.
        y = apply(MATMUL, reshape(b, (1, of_b[0])), a, ta=False, tb=True)
        return reshape(y, (of_a[0],))
    right = reshape(b, (of_b[0], 1)) if len(of_b) == 1 else b
    matrices = len(left.shape) == len(right.shape) == 2
    y = apply(MATMUL, left, right, ta=False, tb=False) if matrices else _of_several(left, right)
    rows = of_a[-2:-1] if len(of_a) > 1 else ()
    columns = of_b[-1:] if len(of_b) > 1 else ()
    return reshape(y, (*y.shape[:-2], *rows, *columns))


def _of_several(a: Any, b: Any) -> Any:
    """The product of matrices with leading axes, which broadcast."""
    m, k, n = _dims(a.shape[-2:], b.shape[-2:], False, False)
    leading = broadcast_shapes([a.shape[:-2], b.shape[:-2]], MATMUL)
    if len(b.shape) == 2:  # one product of all rows
        y = apply(MATMUL, reshape(a, (size_of(leading) * m, k)), b, ta=False, tb=False)
        return reshape(y, (*leading, m, n))
    a, b = broadcast(a, (*leading, m, k)), broadcast(b, (*leading, k, n))
    return apply(MATMUL, a, b, ta=False, tb=False)


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
