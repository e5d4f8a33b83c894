"""remember_pulls: inference keeps results that depend on one integer pull alone between calls.

With ``unique_pulls`` they are computed once per distinct id of a batch. As long as no parameter
changes they need not be computed again for an id that came before. Values that depend on several
pulls are computed anew: there are too many tuples of ids. F is split into a function of the ids
alone, whose results are kept by id, and the rest, which reads them by id.

A row of an embedding alone is not kept unless another value of its id is: it would make a second
table, of which each row is copied before it is read. Where the row is a state as it stands, it is
read from the embedding row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cavs.core import ir
from cavs.core.ir import FunctionIR, Internal, Node, ancestors, without_reshapes
from cavs.core.lowering.zeros import NO_ROWS, RowIds, Zeros
from cavs.core.ops._def import Between, Shape
from cavs.core.ops._spaces import SpaceKind, Typed, Unique
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.shape import reshape
from cavs.core.ops.structure import EXPAND, JOIN, PARAM, PULL, REMEMBERED, UNIQUE_IDS
from cavs.core.remarks import Notes, counted, listed

MOST_ELEMENTS = 1 << 28
"""A part that has more elements than this for all ids is computed anew in each call."""


@dataclass(frozen=True, eq=False)
class Result(Internal):
    """Result `number` for the ids `rows`: an output of the part, kept, and an input of the rest.

    Each is made once and compared by identity: calls look arrays up by it."""

    rows: Unique
    number: int

    def __str__(self) -> str:
        return f"{self.rows}:{self.number}"


@dataclass(frozen=True)
class Remembered:
    """Results of one integer pull, kept by id.

    Attributes:
        pull: name of the pull.
        base: the rows whose ids are looked up.
        count: ids are below this; the results for "no input" (-1) stand in row `count`.
        keys: names of the results among the inputs of the rest.
        shapes: shapes of a row of each.
        function: pushes the results, named by `keys`, per vertex.
        params: the parameters that it depends on.
    """

    pull: str
    base: SpaceKind | Typed
    count: int
    keys: tuple[Result, ...]
    shapes: tuple[Shape, ...]
    function: FunctionIR
    params: tuple[Any, ...]


def remember_pulls(
    function: FunctionIR, notes: Notes | None = None
) -> tuple[FunctionIR, list[Remembered]]:
    """F after ``unique_pulls``, split; no parts where nothing depends on an embedding alone."""
    frontier: dict[Unique, dict[Node, None]] = {}
    parts: list[Remembered] = []
    replaced = _read_by_row(function)
    zeros = Zeros(function.roots(), RowIds(), by_id=True, by_mask=False).zero
    for node in ancestors(function.roots()):
        of_one = node.op is EXPAND and len(node.attrs["rows"].pulls) == 1
        if of_one and node not in replaced:
            frontier.setdefault(node.attrs["rows"], {})[node.inputs[0]] = None
        elif node.op is EXPAND and not of_one and notes is not None:
            names = listed(node.attrs["rows"].pulls)
            reason = f"there are too many tuples of {names} to keep a value for each"
            _refuse(notes, node.inputs, reason)
    for space, nodes in frontier.items():
        hindrance = _hindrance(list(nodes))
        if hindrance is not None:
            if notes is not None:
                _refuse(notes, list(nodes), hindrance.format(ids=repr(space.pulls[0])))
            continue
        part = _part(space, list(nodes))
        parts.append(part)
        if notes is not None:
            words = f"{counted(len(nodes), 'value')} of {space.pulls[0]!r} kept for later calls"
            notes.did("remember_pulls", words, _work(nodes))
        for node, key in zip(nodes, part.keys, strict=True):
            zero = zeros.get(node, NO_ROWS)
            replaced[node] = ir.source(
                REMEMBERED, node.shape, space, key=key, count=part.count + 1, zero=zero
            )
    return (function.map(_replace(function, replaced)) if replaced else function), parts


def _read_by_row(function: FunctionIR) -> dict[Node, Node]:
    """Maps a row of an embedding that is expanded only to be a state to the embedding of the ids
    themselves."""
    order = ancestors(function.roots())
    users: dict[Node, list[Node]] = {}
    for node in order:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    pulls = {(n.attrs["name"], n.space): n for n in order if n.op is PULL}
    found: dict[Node, Node] = {}
    for node in order:
        row = _row_of(node.inputs[0]) if node.op is EXPAND else None
        if row is None or any(user.op is not JOIN for user in users.get(node, [])):
            continue
        key = node.attrs["rows"].pulls[0], node.space
        if key not in pulls:
            pulls[key] = ir.source(PULL, (), node.space, "int32", name=key[0])
        operands = row.inputs[0], pulls[key]
        own = Node(row.op, operands, row.attrs, row.shape, node.space, where=row.where)
        into = {"into": node.attrs["rows"]}
        found[node] = Node(IDENTITY, (reshape(own, node.shape),), into, node.shape, node.space)
    return found


def _row_of(node: Node) -> Node | None:
    """The row of an embedding that `node` is but for its shape; None if it is another value."""
    node = without_reshapes(node)
    is_row = node.op is EMBEDDING and node.inputs[1].op is UNIQUE_IDS
    return node if is_row else None


def refuse_in_training(function: FunctionIR, notes: Notes) -> None:
    """Says what inference would keep, and training computes in each call."""
    for part in remember_pulls(function)[1]:
        rows = {key.rows for key in part.keys}
        nodes = [x for x in ancestors(function.roots()) if x.op is EXPAND]
        kept = [x.inputs[0] for x in nodes if x.attrs["rows"] in rows]
        _refuse(notes, kept, f"training changes the weights, so nothing of {part.pull!r} is kept")


def _refuse(notes: Notes, nodes: Sequence[Node], reason: str) -> None:
    """Says of each operation by which the values are computed that it is not kept."""
    work = [x for x in _work(nodes) if x.flops]
    for node in work or nodes:
        notes.refuse("remember_pulls", node, reason, [node])


def _work(nodes: Iterable[Node]) -> list[Node]:
    """The operations by id that values are computed by."""
    return [x for x in ancestors(nodes) if isinstance(x.space, Unique)]


def _counts(order: Iterable[Node]) -> list[int]:
    """How many ids there are, by each embedding of them."""
    tables = [n for n in order if n.op is EMBEDDING and n.inputs[1].op is UNIQUE_IDS]
    return [n.inputs[0].shape[0] for n in tables]


def _hindrance(nodes: Sequence[Node]) -> str | None:
    """Why values of one id are not kept, with a place for the name of the ids; None if they are."""
    if all(_row_of(node) is not None for node in nodes):
        return "the rows of an embedding for {ids} as they stand: they would be a second table"
    order = ancestors(nodes)
    counts = _counts(order)
    if not counts:
        return "no embedding says how many ids {ids} has"
    if any(n.op is UNIQUE_IDS or n.dtype != "float" for n in nodes):
        return "the ids {ids} themselves are read"
    if any(n.op.reduces is Between.ALL for n in order):
        return "a sum over the batch gives another value of {ids} in each call"
    if any(n.op is PULL or (n.op.random and not n.op.drops) for n in order):
        return "an input or a sample of the batch gives another value of {ids} in each call"
    if any(n.op.drops for n in order):
        return "dropout by id gives another value of {ids} in each call"
    ids, size = min(counts) + 1, sum(n.size for n in nodes)
    if ids * size > MOST_ELEMENTS:
        return f"{ids:,} ids of {{ids}} x {size:,} numbers are more than {MOST_ELEMENTS:,}"
    return None


def _part(space: Unique, nodes: list[Node]) -> Remembered:
    order = ancestors(nodes)
    counts = _counts(order)
    moved: dict[Node, Node] = {}
    for node in order:
        if node.op is UNIQUE_IDS:
            moved[node] = ir.source(PULL, (), SpaceKind.VERTEX, "int32", name=node.attrs["name"])
        else:
            inputs = [moved[x] for x in node.inputs]
            rows = SpaceKind.VERTEX if node.space == space else node.space
            moved[node] = Node(
                node.op, inputs, node.attrs, node.shape, rows, node.dtype, node.where
            )
    keys = tuple(Result(space, i) for i in range(len(nodes)))
    params = {id(n.attrs["parameter"]): n.attrs["parameter"] for n in order if n.op is PARAM}
    return Remembered(
        pull=space.pulls[0],
        base=space.base,
        count=min(counts),
        keys=keys,
        shapes=tuple(n.shape for n in nodes),
        function=FunctionIR({}, {k: moved[n] for k, n in zip(keys, nodes, strict=True)}),
        params=tuple(params.values()),
    )


def _replace(function: FunctionIR, replaced: dict[Node, Node]) -> dict[Node, Node]:
    new: dict[Node, Node] = {}
    for node in ancestors(function.roots()):
        if node in replaced:
            new[node] = replaced[node]
        else:
            new[node] = ir.rebuild(node, [new[x] for x in node.inputs])
    return new
