"""The intermediate representation of a vertex function: immutable nodes over row spaces."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cavs._arguments import printed
from cavs.core.ops._def import OpDef, Shape, Space, SpaceKind, apply, size_of
from cavs.core.ops._operators import Operators, _not_numpy
from cavs.core.ops.reduce import SOFTMAX
from cavs.core.ops.reduce import logsumexp as feature_logsumexp
from cavs.core.ops.reduce import max as feature_max
from cavs.core.ops.reduce import mean as feature_mean
from cavs.core.ops.reduce import min as feature_min
from cavs.core.ops.reduce import sum as feature_sum
from cavs.core.ops.shape import slice_last
from cavs.core.ops.structure import (
    CONSTANT,
    PARAM,
    segment_logsumexp,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from cavs.core.tracing import SourceLine, here
from cavs.errors import ShapeError, TraceError

_numbers = itertools.count()  # of all nodes of the process: threads share a compiler's nodes


class Internal:
    """Base of the names that passes give to states, inputs and outputs of their own. They are no
    strings, so a user's name is never equal to one."""


Name: TypeAlias = Any
"""Name of a state, input or output: the user's string, or an :class:`Internal`."""


class Node(Operators):
    """One value of F: an operation applied to other nodes. Compared by identity, never changed.

    Attributes:
        op: its row in the ops table.
        inputs: operand nodes.
        attrs: the operation's attributes, by name.
        shape: feature shape, of one row.
        dtype: ``float`` (float32 or float64, chosen when compiled) or ``int32``.
        space: its row space.
        where: source line in the user's vertex function, for errors.
    """

    __slots__ = ("_shape", "attrs", "dtype", "inputs", "number", "op", "space", "where")
    __cavs_priority__ = 3
    __cavs_symbol__ = True

    def __init__(
        self,
        op: OpDef,
        inputs: Sequence[Node],
        attrs: Mapping[str, Any],
        shape: Shape,
        space: Space,
        dtype: str | None = None,
        where: SourceLine | None = None,
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.attrs = dict(attrs)
        self._shape = shape
        self.space = space
        self.dtype = dtype or op.dtype
        self.where = where or here.locate()
        self.number = next(_numbers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self  # never changed, so a copy of anything that holds it shares it

    @property
    def shape(self) -> Shape:
        """Feature shape, of one row."""
        return self._shape

    @property
    def size(self) -> int:
        """Elements of one row."""
        return size_of(self._shape)

    @property
    def flops(self) -> int:
        """Floating-point operations per row (per row of the operands, where it sums over rows)."""
        return self.op.flops([x.shape for x in self.inputs], self._shape)

    def __repr__(self) -> str:
        name = self.attrs.get("name", "")
        named = f" {name!r}" if name else ""
        return f"<{self.op.name}{named} {self.space}{list(self._shape)}>"

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Node:
        from cavs.core.making import make  # it imports this module

        return make(op, operands, attrs)

    def sum(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Sums an edge value without `axis` over the children; else over features, as ops.sum."""
        return _reduce(self, axis, keepdims, segment_sum, feature_sum)

    def mean(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Averages an edge value without `axis` over the children; else as ops.mean."""
        return _reduce(self, axis, keepdims, segment_mean, feature_mean)

    def max(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Maximum of an edge value without `axis` over the children; else as ops.max."""
        return _reduce(self, axis, keepdims, segment_max, feature_max)

    def min(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Minimum of an edge value without `axis` over the children, 0 without children; else as
        ops.min."""
        return _reduce(self, axis, keepdims, _segment_min, feature_min)

    def logsumexp(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """log(sum(exp(x))) of an edge value without `axis` over the children; else over features:
        the last axis (-1), or all (None)."""
        return _reduce(self, axis, keepdims, segment_logsumexp, feature_logsumexp)

    def softmax(self) -> Node:
        """Softmax of an edge value over the children, per element; else over the last axis."""
        if self.space == SpaceKind.EDGE:
            softmax: Node = segment_softmax(self)
            return softmax
        result: Node = apply(SOFTMAX, self)
        return result

    def _refuse(self, what: str, instead: str, got: str | None = None) -> TraceError:
        line = here.locate()
        got = got or f"{self!r}, a symbol without a value"
        return TraceError(
            f"[trace] expected {what}, got {got}{f', at {line}' if line else ''}; {instead}"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise self._refuse("NumPy needs values", "use the operations of cavs.ops")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise _not_numpy(self, function.__name__)

    def __bool__(self) -> bool:
        raise self._refuse(
            "a value for Python's `if`, `while`, `and`, `or` or `not`",
            "use ops.where, or decide on Python numbers before",
        )

    def __iter__(self) -> Iterator[Any]:
        raise self._refuse("a value to iterate over", "use ops.split to take features apart")

    def __float__(self) -> float:
        raise self._refuse("a value for float()", "keep it symbolic")

    def __int__(self) -> int:
        raise self._refuse("a value for int()", "keep it symbolic")

    def __len__(self) -> int:
        raise self._refuse("a value for len()", "use .shape")

    def __getitem__(self, key: Any) -> Any:
        if (
            isinstance(key, slice)
            and (key.step is None or (type(key.step) is int and key.step == 1))
            and self._shape
        ):
            try:
                start, stop, _ = key.indices(self._shape[-1])
            except TypeError:
                raise TraceError(
                    f"[index] expected a slice of integers, got {printed(key)}; correct it"
                ) from None
            return slice_last(self, start, max(start, stop))
        raise self._refuse(
            "a slice a:b of the last feature axis as index",
            "use ops.split or ops.reshape",
            f"{printed(key)} for {self!r}",
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Node) or other is None:
            return self is other
        raise self._refuse("a value to compare", "use ops.equal")

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Any:
        raise self._refuse("a value to compare", "use ops.less")

    def __gt__(self, other: Any) -> Any:
        raise self._refuse("a value to compare", "use ops.greater")

    def __le__(self, other: Any) -> Any:
        raise self._refuse("a value to compare", "use ops.less_equal")

    def __ge__(self, other: Any) -> Any:
        raise self._refuse("a value to compare", "use ops.greater_equal")


def _reduce(
    x: Node, axis: int | None, keepdims: bool, children: Callable[[Any], Any], features: Any
) -> Node:
    if x.space == SpaceKind.EDGE and axis is None:
        if keepdims:
            raise ShapeError(
                "[reduce] expected keepdims with an axis only, got axis None; leave keepdims out"
            )
        over_children: Node = children(x)
        return over_children
    over_features: Node = features(x, axis, keepdims)
    return over_features


def _segment_min(x: Node) -> Node:
    least: Node = -segment_max(-x)
    return least


def constant(value: float, shape: Shape = ()) -> Node:
    """A number, the same for every row and element."""
    return Node(CONSTANT, (), {"value": float(value)}, shape, SpaceKind.NONE)


def constant_value(node: Node) -> float | None:
    """The number that all elements of `node` have, if it is a constant."""
    return float(node.attrs["value"]) if node.op is CONSTANT else None


def param(parameter: Any) -> Node:
    """A parameter of the model, as an operand without rows."""
    shape = tuple(int(n) for n in parameter.shape)
    return Node(PARAM, (), {"parameter": parameter}, shape, SpaceKind.NONE)


def source(op: OpDef, /, shape: Shape, space: Space, dtype: str = "float", **attrs: Any) -> Node:
    """A node without operands."""
    return Node(op, (), attrs, shape, space, dtype)


def ancestors(roots: Iterable[Node]) -> list[Node]:
    """All nodes that `roots` depend on, and the roots, operands first. No recursion."""
    order: list[Node] = []
    state: dict[Node, bool] = {}
    stack = list(reversed(list(roots)))
    while stack:
        node = stack[-1]
        if node in state:
            stack.pop()
            if not state[node]:
                state[node] = True
                order.append(node)
            continue
        state[node] = False
        stack.extend(x for x in reversed(node.inputs) if x not in state)
    return order


def rebuild(node: Node, inputs: Sequence[Node]) -> Node:
    """`node` with other operands of the same shapes and rows; itself where nothing changed."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return Node(node.op, inputs, node.attrs, node.shape, node.space, node.dtype, node.where)


@dataclass(frozen=True)
class FunctionIR:
    """F or its gradient: the nodes of its results.

    Attributes:
        scatters: by state name, the node that a vertex scatters to its parents.
        pushes: the node of each output, by name.
    """

    scatters: dict[Name, Node] = field(default_factory=dict)
    pushes: dict[Name, Node] = field(default_factory=dict)

    def roots(self) -> list[Node]:
        """Every node that the function gives."""
        return [*self.scatters.values(), *self.pushes.values()]

    def map(self, replace: Mapping[Node, Node]) -> FunctionIR:
        """The same function with its results replaced."""
        return FunctionIR(
            {k: replace.get(v, v) for k, v in self.scatters.items()},
            {k: replace.get(v, v) for k, v in self.pushes.items()},
        )
