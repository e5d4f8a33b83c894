"""The intermediate representation of a vertex function: immutable nodes over row spaces."""

from __future__ import annotations

import itertools
import numbers
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cavs._arguments import shown
from cavs.core.ops._def import (
    OPS,
    OpDef,
    Shape,
    Space,
    SpaceKind,
    Unique,
    apply,
    join_spaces,
    size_of,
)
from cavs.core.ops._operators import Operators, _not_numpy
from cavs.core.ops.random import DROPOUT_BY_ID, RANDOM
from cavs.core.ops.reduce import logsumexp as feature_logsumexp
from cavs.core.ops.reduce import max as feature_max
from cavs.core.ops.reduce import mean as feature_mean
from cavs.core.ops.reduce import sum as feature_sum
from cavs.core.ops.shape import broadcast
from cavs.core.ops.structure import (
    segment_logsumexp,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from cavs.errors import DTypeError, InputError, ShapeError, TraceError

_numbers = itertools.count()


class Internal:
    """Base of what passes call states, inputs and outputs of their own: no strings, so that none is
    ever a user's."""


Name: TypeAlias = Any
"""What a state, input or output is called: the user's string, or an :class:`Internal`."""


@dataclass(frozen=True)
class SourceLine:
    """Where in the user's file a node was made."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" ({self.text})" if self.text else "")


def _no_line() -> SourceLine | None:
    return None


class _Making(threading.local):
    """What new nodes depend on, in this thread.

    Attributes:
        tracing: whether a ``forward`` is being traced.
        locate: gives nodes their source line; those made by autodiff and passes have none.
        random_keys: numbers of random operations, from 0 in each trace, so that a function's
            samples are numbered the same every time.
        parents: what the parents of edges are: vertices, or inner ones once leaves are a function
            of their own.
    """

    def __init__(self) -> None:
        self.tracing = False
        self.locate: Callable[[], SourceLine | None] = _no_line
        self.random_keys = itertools.count()
        self.parents: Space = SpaceKind.VERTEX


_making = _Making()


def tracing() -> bool:
    """Whether this thread is tracing a ``forward`` right now."""
    return _making.tracing


@contextmanager
def _making_with(**values: Any) -> Iterator[None]:
    state = vars(_making)
    before = {name: state[name] for name in values}
    state.update(values)
    try:
        yield
    finally:
        state.update(before)


def recording(locate: Callable[[], SourceLine | None]) -> AbstractContextManager[None]:
    """Nodes made inside, in this thread, are those of a trace, which may be within another."""
    return _making_with(
        tracing=True, locate=locate, random_keys=itertools.count(), parents=SpaceKind.VERTEX
    )


def apart_from_traces() -> AbstractContextManager[None]:
    """Nodes made inside belong to no trace, even if this thread is in the middle of one."""
    return _making_with(tracing=False, locate=_no_line, parents=SpaceKind.VERTEX)


def located_at(line: SourceLine | None) -> AbstractContextManager[None]:
    """Nodes made inside have this source line."""
    return _making_with(locate=lambda: line)


class Node(Operators):
    """One value of F: an operation applied to other nodes. Compared by identity, never changed.

    Attributes:
        op: its row in the ops table.
        inputs: operand nodes.
        attrs: what the operation needs besides.
        shape: feature shape, of one row.
        dtype: ``float`` (float32 or float64, chosen when compiled) or ``int32``.
        space: what its rows are: ``none``, ``graph``, ``vertex``, ``edge``,
            or distinct ids (:class:`Unique`).
        where: source line in the user's vertex function, for errors.
    """

    __slots__ = ("_shape", "attrs", "dtype", "inputs", "number", "op", "space", "where")
    __cavs_priority__ = 3

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
        self.where = where or _making.locate()
        self.number = next(_numbers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self  # never changed: a copy of what a forward kept of its trace holds the same

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
        return make(op, operands, attrs)

    def sum(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Of an edge value without `axis`: over the children. Else over features, as ops.sum."""
        return _reduce(self, axis, keepdims, segment_sum, feature_sum)

    def mean(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Of an edge value without `axis`: over the children. Else over features, as ops.mean."""
        return _reduce(self, axis, keepdims, segment_mean, feature_mean)

    def max(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Of an edge value without `axis`: over the children. Else over features, as ops.max."""
        return _reduce(self, axis, keepdims, segment_max, feature_max)

    def logsumexp(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """Of an edge value without `axis`: over the children. Else over features: the last axis
        (-1), or all (None)."""
        return _reduce(self, axis, keepdims, segment_logsumexp, feature_logsumexp)

    def softmax(self) -> Node:
        """Of an edge value: over the children, element by element. Else over the last axis."""
        if self.space == SpaceKind.EDGE:
            softmax: Node = segment_softmax(self)
            return softmax
        result: Node = apply(OPS["softmax"], self)
        return result

    def _refuse(self, what: str, instead: str, got: str | None = None) -> TraceError:
        line = _making.locate()
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
            from cavs.core.ops.shape import slice_last

            try:
                start, stop, _ = key.indices(self._shape[-1])
            except TypeError:
                raise TraceError(
                    f"[index] expected a slice of integers, got {key}; correct it"
                ) from None
            return slice_last(self, start, max(start, stop))
        raise self._refuse(
            "a slice a:b of the last feature axis as index",
            "use ops.split or ops.reshape",
            f"{key!r} for {self!r}",
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


def constant(value: float, shape: Shape = ()) -> Node:
    """A number, the same for every row and element."""
    return Node(OPS["constant"], (), {"value": float(value)}, shape, SpaceKind.NONE)


def constant_value(node: Node) -> float | None:
    """The number that all elements of `node` are, if it is a constant."""
    return float(node.attrs["value"]) if node.op.name == "constant" else None


def param(parameter: Any) -> Node:
    """A parameter of the model, as an operand without rows."""
    shape = tuple(int(n) for n in parameter.shape)
    return Node(OPS["param"], (), {"parameter": parameter}, shape, SpaceKind.NONE)


def _float(op: OpDef, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError(
            f"[{op.name}] expected a number, got {shown(value)}; pass one that a float holds"
        ) from None


def _operand(value: Any, op: OpDef) -> Node:
    if isinstance(value, Node):
        return value
    if type(value) is not bool and isinstance(value, numbers.Real):
        return constant(_float(op, value))
    if getattr(value, "__cavs_parameter__", False):
        return param(value)
    raise TraceError(
        f"[{op.name}] expected a vertex value, a parameter or a number, got "
        f"{type(value).__name__}; bring data that differs from vertex to vertex through v.pull"
    )


def _to_space(x: Node, space: Space) -> Node:
    """Repeats a coarser value on the rows of `space`; values without rows stay as they are."""
    if x.space == space or x.space == SpaceKind.NONE or isinstance(space, Unique):
        return x
    if x.space == SpaceKind.GRAPH:
        x = Node(OPS["graph_spread"], (x,), {}, x.shape, SpaceKind.VERTEX, x.dtype)
    if space == SpaceKind.EDGE and x.space in (SpaceKind.VERTEX, SpaceKind.INNER):
        x = Node(OPS["spread"], (x,), {}, x.shape, SpaceKind.EDGE, x.dtype)
    return x


def _broadcast_shapes(shapes: Sequence[Shape], op: OpDef) -> Shape:
    out: list[int] = []
    for axis in range(1, 1 + max(map(len, shapes), default=0)):
        sizes = {s[-axis] for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            raise ShapeError(
                f"[{op.name}] expected shapes that broadcast, got {list(shapes)}; reshape one"
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(reversed(out))


# Which operand is an id or a label; of dropout by id all but the first are.
_INTEGER_OPERAND = {
    "cross_entropy": 1,
    "cross_entropy_grad": 2,
    "embedding": 1,
    "embedding_grad": 1,
    "present": 0,
}
_OVER_CHILDREN = ("segment_sum", "segment_max", "segment_logsumexp")
_SAME_SPACE = {
    **dict.fromkeys((*_OVER_CHILDREN, "segment_softmax"), SpaceKind.EDGE),
    "spread": SpaceKind.VERTEX,
}

# What is no function of the row's own ids, though its operands may be.
_OF_OTHER_ROWS = frozenset({"dropout", *_OVER_CHILDREN, "segment_softmax", "graph_sum"})


def edge_parents(space: Space) -> AbstractContextManager[None]:
    """Nodes made inside that go from edges to their parents are values of `space`."""
    return _making_with(parents=space)


def make(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Node:
    """A checked node: operands converted, spread to common rows and broadcast to common shapes."""
    return _make(op, [_operand(x, op) for x in operands], dict(attrs))


def _make(op: OpDef, inputs: list[Node], attrs: dict[str, Any]) -> Node:
    if op.arity >= 0 and len(inputs) != op.arity:
        raise TraceError(
            f"[{op.name}] expected {op.arity} operands, got {len(inputs)}; pass as many"
        )
    for position, x in enumerate(inputs):
        by_id = op is DROPOUT_BY_ID and position > 0
        integer = by_id or _INTEGER_OPERAND.get(op.name) == position
        if integer != (x.dtype == "int32") and op.name not in ("spread", "graph_spread", "expand"):
            expected = "int32" if integer else "float"
            raise DTypeError(
                f"[{op.name}] expected operand {position} of dtype {expected}, got {x.dtype}; "
                f"{'pull it as int32' if integer else 'pull it as float32'}"
            )
    if op.name == "num_children":
        return Node(op, (), attrs, (), _making.parents)
    inner = op.name == "spread" and inputs[0].space == SpaceKind.INNER
    if op.name in _SAME_SPACE and inputs[0].space != _SAME_SPACE[op.name] and not inner:
        if op.name == "spread" and inputs[0].space in (SpaceKind.NONE, SpaceKind.EDGE):
            return inputs[0]
        inputs = [_to_space(inputs[0], _SAME_SPACE[op.name])]
        if inputs[0].space != _SAME_SPACE[op.name]:
            raise ShapeError(
                f"[{op.name}] expected a value per {_SAME_SPACE[op.name]}, got one per "
                f"{inputs[0].space}; pass one of those rows"
            )
    rows = join_spaces([x.space for x in inputs])
    if op.name in RANDOM and attrs.get("key") is None:
        attrs["key"] = new_random_key()
        if rows == SpaceKind.NONE and "by" not in attrs:
            raise ShapeError(
                f"[{op.name}] expected a value per vertex, edge or graph, got one without rows; "
                "combine it with a pulled value first"
            )
        if op.name == "uniform":
            return source("uniform", inputs[0].shape, rows, key=attrs["key"])
        if attrs.pop("by", "vertex") == "id":
            return _make(DROPOUT_BY_ID, [*inputs, *_ids_of(inputs[0])], attrs)
    inputs = [_to_space(x, rows) for x in inputs]
    if op.elementwise and len({x.shape for x in inputs}) > 1:
        shape = _broadcast_shapes([x.shape for x in inputs], op)
        inputs = [
            constant(x.attrs["value"], shape) if x.op.name == "constant" else broadcast(x, shape)
            for x in inputs
        ]
    space = op.space([x.space for x in inputs])
    if op.name in _OVER_CHILDREN:
        space = _making.parents
    elif op.name == "expand":
        space = attrs["base"]
    elif op.name == "unique_sum":
        space = attrs["rows"]
    elif op.name == "reduce_rows" and inputs[0].space == SpaceKind.NONE:
        return inputs[0]
    shape = op.infer(*[x.shape for x in inputs], **attrs)
    return Node(op, inputs, attrs, shape, space, inputs[0].dtype if _moves(op) else None)


def _ids_of(x: Node) -> list[Node]:
    """The integer pulls that `x` is a function of, by their names.

    Raises TraceError where it depends on anything else that has rows, or on no pull.
    """
    ids: dict[str, Node] = {}
    for node in ancestors([x]):
        if node.op.name == "pull" and node.dtype == "int32":
            ids[node.attrs["name"]] = node
        elif node.space != SpaceKind.NONE and (not node.inputs or node.op.name in _OF_OTHER_ROWS):
            name = f" {node.attrs['name']!r}" if "name" in node.attrs else ""
            raise TraceError(
                "[dropout] expected a value of integer pulls and parameters alone with by='id', "
                "got one that depends on "
                f"{node.op.name}{name}{f', at {node.where}' if node.where else ''}; drop it "
                "by='vertex'"
            )
    if not ids:
        raise TraceError(
            "[dropout] expected a value of integer pulls with by='id', got one without any; drop "
            "it by='vertex'"
        )
    return [ids[name] for name in sorted(ids)]


def _moves(op: OpDef) -> bool:
    return op.name in ("spread", "graph_spread", "expand")


def new_random_key() -> int:
    """The next random operation's number."""
    return next(_making.random_keys)


def source(op: str, /, shape: Shape, space: Space, dtype: str = "float", **attrs: Any) -> Node:
    """A node without operands: pull, gather, push_cotangent, state_cotangent, uniform."""
    return Node(OPS[op], (), attrs, shape, space, dtype)


def ancestors(roots: Iterable[Node]) -> list[Node]:
    """All nodes that `roots` depend on and themselves, operands first. No recursion."""
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
    """F or its gradient: what it gives, as nodes.

    Attributes:
        scatters: state name to the node that a vertex scatters to its parents.
        pushes: output name to node.
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
