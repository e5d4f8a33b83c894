"""Linear algebra of tensors outside of vertex functions: factorisations and systems of equations.

Matrices are the last two axes of a tensor, float32 or float64; axes before these are a batch. The
work is LAPACK's, on the CPU, and gradients flow through all of it. Derivatives are those of Giles,
"An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), and, of the Cholesky factor, of Murray, "Differentiation of the Cholesky
decomposition" (2016), section 3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cavs._arguments import boolean
from cavs._arrays import Array, max_abs_each
from cavs._missing import of_package
from cavs._native import core
from cavs.core import ops
from cavs.core.ops._def import OpDef, Shape, apply, size_of
from cavs.core.ops.shape import broadcast, broadcast_shapes, reshape
from cavs.core.tracing import tracing
from cavs.errors import DeviceError, InputError, ShapeError, TraceError
from cavs.tensor import Tensor, is_grad_enabled

__all__ = ["cholesky", "diagonal", "logdet", "solve", "solve_triangular"]

if not TYPE_CHECKING:  # type checkers would take it for names of any kind
    __getattr__ = of_package(__name__)


def cholesky(a: Any) -> Tensor:
    """The lower triangular L of A = L L^T, for symmetric positive definite A.

    Args:
        a: (..., n, n). The triangle above the diagonal counts as a mirror of the one below, and
            the gradient is symmetric.

    Returns:
        (..., n, n), zeros above the diagonal.

    Raises:
        ShapeError: matrices that are not square. InputError: an element is NaN or infinite, or a
        matrix is not positive definite: says which, and the order of the leading minor that is
        not. DeviceError: on a GPU. TraceError: in a vertex function.
    """
    x = _tensor("cholesky", "a", a)
    _order("cholesky", x.shape)
    y: Tensor = apply(CHOLESKY, x)
    return y


def solve_triangular(a: Any, b: Any, lower: bool = True, trans: bool = False) -> Tensor:
    """X of A X = B, or of A^T X = B, for a triangular A.

    Args:
        a: (..., n, n), of which only the triangle is read. The axes before broadcast with b's.
        b: (..., n, k), or a vector (n,).
        lower: whether the triangle is on and below the diagonal, or else on and above it.
        trans: whether A is transposed.

    Returns:
        (..., n, k), or (n,) where A is one matrix and b a vector.

    Raises:
        ShapeError: a matrix that is not square, or shapes that do not fit. InputError: an element
        of a diagonal is zero, NaN or infinite. DeviceError: on a GPU. TraceError: in a vertex
        function.
    """
    attrs = {
        "lower": boolean("solve_triangular", "lower", lower),
        "trans": boolean("solve_triangular", "trans", trans),
    }
    return _solved(SOLVE_TRIANGULAR, a, b, attrs)


def solve(a: Any, b: Any) -> Tensor:
    """X of A X = B, by LU factors with row exchanges.

    For symmetric positive definite A, :func:`cholesky` and two triangular systems take less.

    Args:
        a: (..., n, n). The axes before broadcast with b's.
        b: (..., n, k), or a vector (n,).

    Returns:
        (..., n, k), or (n,) where A is one matrix and b a vector.

    Raises:
        ShapeError: a matrix that is not square, or shapes that do not fit. InputError: an element
        of A is NaN or infinite, or a matrix is singular: says which. DeviceError: on a GPU.
        TraceError: in a vertex function.
    """
    return _solved(SOLVE, a, b, {"trans": False})


def logdet(a: Any) -> Tensor:
    """log det A of symmetric positive definite A, by its Cholesky factor.

    Args:
        a: (..., n, n).

    Returns:
        (...).

    Raises:
        As :func:`cholesky`.
    """
    x = _tensor("logdet", "a", a)
    _order("logdet", x.shape)
    y: Tensor = ops.sum(ops.log(diagonal(apply(CHOLESKY, x))), axis=-1) * 2.0
    return y


def diagonal(x: Any) -> Tensor:
    """The diagonals of matrices: (..., n, n) gives (..., n).

    Raises:
        ShapeError: matrices that are not square. TraceError: in a vertex function.
    """
    x = _tensor("diagonal", "x", x)
    _order("diagonal", x.shape)
    y: Tensor = apply(DIAGONAL, x)
    return y


def _tensor(component: str, name: str, given: Any) -> Tensor:
    """An operand as a tensor."""
    symbolic = hasattr(type(given), "__cavs_symbol__")
    if symbolic or (tracing() and getattr(given, "__cavs_parameter__", False)):
        raise TraceError(
            f"[{component}] expected a tensor as {name}, got a value of a vertex function; push "
            "it, and compute with the output of the model"
        )
    return given if isinstance(given, Tensor) else Tensor(given)


def _order(component: str, shape: Shape) -> int:
    """n of (..., n, n)."""
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(
            f"[{component}] expected square matrices, (..., n, n), got shape {shape}; reshape it"
        )
    return shape[-1]


def _solved(op: OpDef, a: Any, b: Any, attrs: dict[str, bool]) -> Tensor:
    """Applies `op` to matrices and right sides whose leading axes broadcast."""
    left, right = _tensor(op.name, "a", a), _tensor(op.name, "b", b)
    n, of_b = _order(op.name, left.shape), right.shape
    if not of_b or of_b[-1 if len(of_b) == 1 else -2] != n:
        raise ShapeError(
            f"[{op.name}] expected b of shape ({n},) or (..., {n}, k), for matrices of order {n}, "
            f"got {of_b}; reshape it"
        )
    sides = reshape(right, (n, 1)) if len(of_b) == 1 else right
    leading = broadcast_shapes([left.shape[:-2], sides.shape[:-2]], op)
    left, sides = broadcast(left, (*leading, n, n)), broadcast(sides, (*leading, *sides.shape[-2:]))
    y: Tensor = apply(op, left, sides, **attrs)
    return reshape(y, y.shape[:-1]) if len(of_b) == 1 else y


def _own(op: str, np_: Any, x: Any) -> Array:
    """A copy to compute in. On a GPU there is no LAPACK here."""
    if np_ is not np:
        raise DeviceError(
            f"[{op}] expected tensors on the CPU, where matrices are factorised, got some on a "
            'GPU; move them by x.to("cpu"), through which gradients flow'
        )
    return np.array(x, order="C")


def _at(shape: Shape, matrix: int) -> str:
    """Which matrix of a batch, in words."""
    leading = shape[:-2]
    if not leading:
        return ""
    return f" at {[int(i) for i in np.unravel_index(matrix, leading)]} of the batch"


def _expect_finite(op: str, x: Array) -> None:
    if math.isfinite(max_abs_each([x])[0]):
        return
    matrix = int(np.argmax(~np.isfinite(x).all((-1, -2))))
    kind = "NaN" if np.isnan(x).any() else "infinite elements"
    raise InputError(
        f"[{op}] expected finite numbers, got {kind}{_at(x.shape, matrix)}; look for where they "
        "come from by cavs.detect_nonfinite"
    )


def _cholesky(np_: Any, a: Any) -> Array:
    factor = _own("cholesky", np_, a)
    _expect_finite("cholesky", factor)
    matrix, order = core.cholesky_(factor, size_of(a.shape[:-2]), a.shape[-1])
    if matrix >= 0:
        raise InputError(
            f"[cholesky] expected positive definite matrices, got one{_at(a.shape, matrix)} whose "
            f"leading minor of order {order} is not; add a small multiple of the identity to it"
        )
    return factor


def _solve_triangular(np_: Any, a: Any, b: Any, lower: bool, trans: bool) -> Array:
    x = _own("solve_triangular", np_, b)
    pivots = np.diagonal(a, 0, -2, -1)
    good = np.isfinite(pivots) & (pivots != 0)
    if not good.all():
        at = np.unravel_index(int(np.argmin(good)), good.shape)
        matrix = int(np.argmin(good.all(-1)))
        raise InputError(
            "[solve_triangular] expected finite diagonals without zeros, got "
            f"{pivots[at]} in row {int(at[-1])}{_at(a.shape, matrix)}; correct the matrix, which "
            "is singular"
        )
    sizes = size_of(b.shape[:-2]), b.shape[-2], b.shape[-1]
    core.solve_triangular_(np.ascontiguousarray(a), x, *sizes, lower, trans)
    return x


def _solve(np_: Any, a: Any, b: Any, trans: bool) -> Array:
    factors, x = _own("solve", np_, a), _own("solve", np_, b)
    _expect_finite("solve", factors)
    sizes = size_of(b.shape[:-2]), b.shape[-2], b.shape[-1]
    matrix, _ = core.solve_(factors, x, *sizes, trans)
    if matrix >= 0:
        raise InputError(
            f"[solve] expected matrices that have an inverse, got a singular one"
            f"{_at(a.shape, matrix)}; add a small multiple of the identity to it"
        )
    return x


def _transposed(x: Any) -> Any:
    return apply(TRANSPOSE, x)


def _with_diagonal(x: Any) -> Any:
    return apply(OF_DIAGONAL, x)


def _triangle(x: Any, lower: bool = True, half: bool = False) -> Any:
    return apply(TRIANGLE, x, lower=lower, half=half)


def _of_triangle(np_: Any, x: Any, lower: bool, half: bool) -> Array:
    kept = _own("triangle", np_, x)
    core.keep_triangle_(kept, size_of(x.shape[:-2]), x.shape[-1], lower, 0.5 if half else 1.0)
    return kept


def _diagonal(np_: Any, x: Any) -> Any:
    i = np_.arange(x.shape[-1])
    return x[..., i, i]


def _of_diagonal(np_: Any, x: Any) -> Any:
    n = x.shape[-1]
    y = np_.zeros((*x.shape, n), x.dtype)
    i = np_.arange(n)
    y[..., i, i] = x
    return y


def _cholesky_vjp(dy: Any, y: Any, a: Any) -> tuple[Any]:
    # S = L^-T phi(L^T dL) L^-1, where phi keeps the lower triangle and halves the diagonal.
    if not is_grad_enabled():  # the same in one buffer, with half the operations in the product
        d = np.array(dy._values, order="C")
        core.cholesky_gradient_(y._values, d, size_of(d.shape[:-2]), d.shape[-1])
        return (Tensor(d),)
    p = apply(SOLVE_TRIANGULAR, y, _triangle(ops.matmul(_transposed(y), dy), half=True), **_TRANS)
    s = apply(SOLVE_TRIANGULAR, y, _transposed(p), **_TRANS)  # of S the transpose
    return ((s + _transposed(s)) * 0.5,)


def _triangular_vjp(
    dy: Any, y: Any, a: Any, b: Any, *, lower: bool, trans: bool
) -> tuple[Any, Any]:
    db = apply(SOLVE_TRIANGULAR, a, dy, lower=lower, trans=not trans)
    less = -db
    da = ops.matmul(y, _transposed(less)) if trans else ops.matmul(less, _transposed(y))
    return _triangle(da, lower), db


def _solve_vjp(dy: Any, y: Any, a: Any, b: Any, *, trans: bool) -> tuple[Any, Any]:
    db = apply(SOLVE, a, dy, trans=not trans)
    less = -db
    da = ops.matmul(y, _transposed(less)) if trans else ops.matmul(less, _transposed(y))
    return da, db


# Rows of the form of the ops table, for tensors alone: no program of F has kernels of them.
_TRANS = {"lower": True, "trans": True}
TRANSPOSE = OpDef(
    "transpose",
    1,
    infer=lambda x: (*x[:-2], x[-1], x[-2]),
    moves=True,
    reference=lambda np_, x: np_.swapaxes(x, -1, -2),
    vjp=lambda dy, y, x: (_transposed(dy),),
)
TRIANGLE = OpDef(
    "triangle",
    1,
    infer=lambda x, **_: x,
    reference=_of_triangle,
    vjp=lambda dy, y, x, *, lower, half: (_triangle(dy, lower, half),),
)
DIAGONAL = OpDef(
    "diagonal",
    1,
    infer=lambda x: x[:-1],
    reference=_diagonal,
    vjp=lambda dy, y, x: (_with_diagonal(dy),),
)
OF_DIAGONAL = OpDef(
    "of_diagonal",
    1,
    infer=lambda x: (*x, x[-1]),
    reference=_of_diagonal,
    vjp=lambda dy, y, x: (apply(DIAGONAL, dy),),
)
CHOLESKY = OpDef("cholesky", 1, infer=lambda a: a, reference=_cholesky, vjp=_cholesky_vjp)
SOLVE_TRIANGULAR = OpDef(
    "solve_triangular",
    2,
    infer=lambda a, b, **_: b,
    reference=_solve_triangular,
    vjp=_triangular_vjp,
)
SOLVE = OpDef("solve", 2, infer=lambda a, b, **_: b, reference=_solve, vjp=_solve_vjp)
