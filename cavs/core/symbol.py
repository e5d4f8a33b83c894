"""A value of a vertex function as users see it: its operators, methods and indices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from cavs.core.indexing import indexed
from cavs.core.ops import elementwise
from cavs.core.ops._def import OpDef, Shape, apply, size_of
from cavs.core.ops._operators import COMPARISONS, Operators, not_numpy
from cavs.core.ops._pytorch import instead_of, name_of
from cavs.core.ops._spaces import Space, SpaceKind
from cavs.core.ops.reduce import Axis
from cavs.core.ops.reduce import log_softmax as feature_log_softmax
from cavs.core.ops.reduce import logsumexp as feature_logsumexp
from cavs.core.ops.reduce import max as feature_max
from cavs.core.ops.reduce import mean as feature_mean
from cavs.core.ops.reduce import min as feature_min
from cavs.core.ops.reduce import softmax as feature_softmax
from cavs.core.ops.reduce import sum as feature_sum
from cavs.core.ops.shape import permute, reshape
from cavs.core.ops.structure import (
    batch_max,
    batch_mean,
    batch_sum,
    graph_max,
    graph_mean,
    graph_sum,
    segment_log_softmax,
    segment_logsumexp,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from cavs.core.tracing import here
from cavs.errors import ShapeError, TraceError

_S = TypeVar("_S", bound="Symbol")
_TO_LAYERS = "modules of PyTorch stand below or above a layer"


class _Count(int):
    """A number that says what to use where PyTorch's users call it."""

    __slots__ = ()

    def __call__(self, *_: Any) -> Any:
        line = here.locate()
        raise TraceError(
            "[symbol] expected x.size, the number of elements, got a call of it"
            f"{f', at {line}' if line else ''}; use x.shape, or x.shape[i]"
        )


class Symbol(Operators):
    """A value of a vertex function, which has no numbers while ``forward`` runs: what ``v.pull``,
    ``v.gather`` and operations give. It is for annotations; none is made by hand.

    Operators and methods are the operations of :mod:`cavs.ops`; comparisons give 1.0 and 0.0,
    without a gradient. Indices, numbers and slices, are over the feature axes.

    Attributes:
        dtype: ``float`` (float32 or float64, chosen when compiled) or ``int32``.
        space: what it has a row for: ``vertex``, ``edge``, ``graph`` or, of parameters, ``none``.
    """

    __slots__ = ()
    __cavs_priority__ = 3
    __cavs_symbol__ = True
    _functions_of_numpy: ClassVar = {**Operators._functions_of_numpy, **COMPARISONS}

    dtype: str
    space: Space
    _shape: Shape

    def __init__(self) -> None:
        """Raises TraceError: symbols come of ``v.pull``, ``v.gather`` and operations."""
        raise TraceError(
            "[symbol] expected v.pull, v.gather or an operation to make a symbol, got a call of "
            "its class; use these in forward"
        )

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Symbol:
        from cavs.core.making import make  # it imports the class of nodes

        return make(op, operands, attrs)

    @property
    def shape(self) -> Shape:
        """Feature shape, of one row."""
        return self._shape

    @property
    def ndim(self) -> int:
        """Number of feature axes."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """Elements of one row."""
        return _Count(size_of(self._shape))

    # Methods of tensors

    def sum(self: _S, axis: Axis = None, keepdims: bool = False) -> _S:
        """Sums an edge value without `axis` over the children; else over features, as ops.sum."""
        return _reduce(self, axis, keepdims, segment_sum, feature_sum)

    def mean(self: _S, axis: Axis = None, keepdims: bool = False) -> _S:
        """Averages an edge value without `axis` over the children; else as ops.mean."""
        return _reduce(self, axis, keepdims, segment_mean, feature_mean)

    def max(self: _S, axis: Axis = None, keepdims: bool = False) -> _S:
        """Maximum of an edge value without `axis` over the children; else as ops.max."""
        return _reduce(self, axis, keepdims, segment_max, feature_max)

    def min(self: _S, axis: Axis = None, keepdims: bool = False) -> _S:
        """Minimum of an edge value without `axis` over the children, 0 without children; else as
        ops.min."""
        return _reduce(self, axis, keepdims, lambda x: -segment_max(-x), feature_min)

    def graph_sum(self) -> Symbol:
        """Sums over the vertices, or edges, of each graph; see ops.graph_sum."""
        return graph_sum(self)

    def graph_mean(self) -> Symbol:
        """Averages over the vertices, or edges, of each graph; see ops.graph_mean."""
        return graph_mean(self)

    def graph_max(self) -> Symbol:
        """Maximum over the vertices of each graph; see ops.graph_max."""
        return graph_max(self)

    def batch_sum(self) -> Symbol:
        """Sums over all rows of the batch; see ops.batch_sum."""
        return batch_sum(self)

    def batch_mean(self) -> Symbol:
        """Averages over all rows of the batch; see ops.batch_mean."""
        return batch_mean(self)

    def batch_max(self) -> Symbol:
        """Maximum over all rows of the batch; see ops.batch_max."""
        return batch_max(self)

    def logsumexp(self: _S, axis: Axis = None, keepdims: bool = False) -> _S:
        """log(sum(exp(x))) of an edge value without `axis` over the children; else over features:
        the last axis (-1), or all (None)."""
        return _reduce(self, axis, keepdims, segment_logsumexp, feature_logsumexp)

    def softmax(self: _S, axis: int | None = None) -> _S:
        """Softmax of an edge value without `axis` over the children, per element; else over a
        feature axis, by default the last; see :func:`cavs.ops.softmax`."""
        return _normalise(self, axis, segment_softmax, feature_softmax)

    def log_softmax(self: _S, axis: int | None = None) -> _S:
        """log of the softmax, of an edge value without `axis` over the children; see
        :meth:`softmax` and :func:`cavs.ops.log_softmax`."""
        return _normalise(self, axis, segment_log_softmax, feature_log_softmax)

    def reshape(self: _S, *shape: int | Sequence[int]) -> _S:
        """The same features in another shape, of which one axis may be -1."""
        to: Any = shape[0] if len(shape) == 1 else shape
        y: Any = reshape(self, to)
        return y  # type: ignore[no-any-return]

    def detach(self: _S) -> _S:
        """The same value, through which no gradient flows; see :func:`cavs.ops.stop_gradient`."""
        y: Any = elementwise.stop_gradient(self)
        return y  # type: ignore[no-any-return]

    def permute(self: _S, *axes: int | Sequence[int]) -> _S:
        """The feature axes in another order; see :func:`cavs.ops.permute`."""
        given: Any = axes[0] if len(axes) == 1 else axes
        y: Any = permute(self, given)
        return y  # type: ignore[no-any-return]

    @property
    def T(self: _S) -> _S:  # noqa: N802
        """The feature axes in reverse order, as NumPy's ``T``: a matrix transposed."""
        return self.permute(tuple(reversed(range(self.ndim))))

    def __getattr__(self, name: str) -> Any:
        where, instead = "", None
        if not name.startswith("_"):  # Python asks for many of these, of which most need not be
            caller = str(sys._getframe(1).f_globals.get("__name__"))
            line = here.locate()
            where = f", at {line}" if line else ""
            # A module of PyTorch looks at its argument before it calls a function.
            instead = _TO_LAYERS if caller.startswith("torch.") else instead_of(name)
        raise AttributeError(
            f"[symbol] expected an attribute of a symbol, which has no numbers, got .{name}{where}"
            f"; {instead or 'use the operations of cavs.ops'}"
        )

    # Comparisons

    def __eq__(self: _S, other: object) -> _S:  # type: ignore[override]
        same: Any = self is other
        if here.tracing and other is not None:  # outside of traces they are told apart by identity
            same = apply(elementwise.EQUAL, self, other)
        found: _S = same
        return found

    def __ne__(self: _S, other: object) -> _S:  # type: ignore[override]
        equal: Any = self == other
        differs: Any = not equal if isinstance(equal, bool) else 1.0 - equal
        return differs  # type: ignore[no-any-return]

    __hash__ = object.__hash__

    def __lt__(self: _S, other: Any) -> _S:
        y: _S = apply(elementwise.LESS, self, other)
        return y

    def __gt__(self: _S, other: Any) -> _S:
        y: _S = apply(elementwise.GREATER, self, other)
        return y

    def __le__(self: _S, other: Any) -> _S:
        y: _S = apply(elementwise.LESS_EQUAL, self, other)
        return y

    def __ge__(self: _S, other: Any) -> _S:
        y: _S = apply(elementwise.GREATER_EQUAL, self, other)
        return y

    # Indices

    def __getitem__(self: _S, key: Any) -> _S:
        """Features by numbers, slices of step 1, ``...`` and None, axis by axis as NumPy's:
        ``x[0]``, ``x[a:b]``, ``x[:, -1]``, ``x[..., j]``, ``x[:, None]``.

        Raises:
            TraceError: another index, which needs values; ShapeError: it is out of range.
        """
        y: _S = indexed(self, key)
        return y

    # What needs values

    def _refuse(self, what: str, instead: str, got: str | None = None) -> TraceError:
        line = here.locate()
        got = got or f"{self!r}, a symbol without a value"
        return TraceError(
            f"[trace] expected {what}, got {got}{f', at {line}' if line else ''}; {instead}"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise self._refuse("values for NumPy", "use cavs.ops, such as ops.take(array, ids)")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise not_numpy(self, function.__name__)

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any) -> Any:
        # Symbols alone have it: what has it is no sequence of numbers to torch.Tensor(x). Operators
        # of PyTorch take a TypeError for NotImplemented, so tensor + x goes on to x.__radd__.
        line = here.locate()
        known = instead_of(function.__name__)
        raise TraceError(
            "[trace] expected operations of cavs.ops on values of F, got "
            f"{name_of(function)}{f', at {line}' if line else ''}; "
            f"{known or 'use the operations of cavs.ops'}; {_TO_LAYERS}"
        )

    def __bool__(self) -> bool:
        raise self._refuse(
            "a value for Python's `if`, `while`, `and`, `or` or `not`",
            "use ops.where, or decide on Python numbers before",
        )

    def __iter__(self) -> Iterator[Any]:
        raise self._not_iterable("a value to iterate over")

    def __reversed__(self) -> Iterator[Any]:
        raise self._not_iterable("a value to iterate over")

    def __contains__(self, item: object) -> bool:
        raise self._not_iterable("a value for Python's `in`")

    def _not_iterable(self, what: str) -> TraceError:
        instead = "use ops.split to take features apart"
        if self.space.kind is SpaceKind.EDGE:
            instead = (
                "reduce it over the children, as by .sum(), .max() or ops.segment_softmax, or take "
                "one child by v.gather(k, ...)"
            )
        return self._refuse(what, instead)

    def __float__(self) -> float:
        raise self._refuse("a value for float()", "keep it symbolic")

    def __int__(self) -> int:
        raise self._refuse("a value for int()", "keep it symbolic")

    def __len__(self) -> int:
        instead = "use .shape"
        if self.space.kind is SpaceKind.EDGE:
            instead = (
                "use .shape for the features of a child; v.gather(one=()).one.sum() is the number "
                "of children, with v.scatter(one=1.0)"
            )
        raise self._refuse("a value for len()", instead)

    def __index__(self) -> int:
        raise self._refuse("a value for an index or range()", "use ops.pick for ids")


def _normalise(x: _S, axis: int | None, children: Callable[[Any], Any], features: Any) -> _S:
    edges = x.space.kind is SpaceKind.EDGE and axis is None
    y: _S = children(x) if edges else features(x, -1 if axis is None else axis)
    return y


def _reduce(x: _S, axis: Axis, keepdims: bool, children: Callable[[Any], Any], features: Any) -> _S:
    if x.space.kind is SpaceKind.EDGE and axis is None:
        if keepdims:
            raise ShapeError(
                "[reduce] expected keepdims with an axis only, got axis None; leave keepdims out"
            )
        over_children: _S = children(x)
        return over_children
    over_features: _S = features(x, axis, keepdims)
    return over_features
