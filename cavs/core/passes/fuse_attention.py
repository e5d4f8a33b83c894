"""fuse_attention: softmax over children and the sum weighted by it become attention, which needs no
rows for edges.

What is found is ``(score.softmax() * v).sum()``, with or without dropout of the weights, where
``score`` is ``ops.sum(q * k, -1)``, with or without ``keepdims``, times a number, plus a bias or
scores by the child's place: what :func:`cavs.ops.attention` is made of, and what the documentation
shows. Keys and values are states, or parts of states: the pass ``commute_gather`` has brought
products of them to the child. Where no level needs it, or it waits for none, attention is computed
for all vertices at once, before or after the levels; else level by level, without dropout.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors, rebuild, without_reshapes
from cavs.core.lowering.settled import settled_states
from cavs.core.ops._def import apply, size_of
from cavs.core.ops._spaces import Space, SpaceKind
from cavs.core.ops.attention_levels import LEVEL_ATTENTION
from cavs.core.ops.attention_rows import ATTENTION
from cavs.core.ops.elementwise import ADD, MUL
from cavs.core.ops.random import DROPOUT
from cavs.core.ops.reduce import ROW_SUM
from cavs.core.ops.shape import BROADCAST, RESHAPE, SLICE, reshape, slice_last
from cavs.core.ops.structure import (
    CHILD_COLUMNS,
    GATHER,
    SEGMENT_SOFTMAX,
    SEGMENT_SUM,
    SPREAD,
)
from cavs.core.passes.context import Context
from cavs.core.remarks import Notes, called, counted


class _RefusedError(Exception):
    """Why an attention stays as it is."""


class _Found(NamedTuple):
    """An attention.

    Attributes:
        q: queries of vertices, of `heads` rows.
        k, v: keys and values of edges, in the end of the children themselves.
        scale: of the products of queries and keys.
        position, bias: what is added to scores, if anything.
        dropout: of the weights: its rate, and the number by which it draws; None without.
        edges: the rows of the edges.
        columns: of an attention within levels, whose keys and values are what is gathered, where
            they begin in the rows of these states.
    """

    heads: int
    q: Node
    k: Node
    v: Node
    scale: float
    position: Node | None
    bias: Node | None
    dropout: tuple[float, int] | None
    edges: Space
    columns: tuple[int, int] | None = None


def fuse_attention(function: FunctionIR, context: Context) -> FunctionIR:
    """F with attention over children in the place of operations on edges; states that nobody
    gathers any more go."""
    found: dict[Node, _Found] = {}
    reasons: dict[Node, str] = {}
    for node in ancestors(function.roots()):
        try:
            attention = _match(node)
            if attention is not None:
                found[node] = _by_children(attention, function.scatters)
        except _RefusedError as why:
            reasons[node] = str(why)
    settles = {"hoist", "defer"}.issubset(context.switches)
    for node in _among_levels(function, found, settles):
        try:
            found[node] = _in_levels(node, function, context)
        except _RefusedError as why:
            reasons[node] = str(why)
    if context.notes is not None:
        _say(context.notes, found, reasons)
    return _Replaced(function, found).function if found else function


def _say(notes: Notes, found: Collection[Node], reasons: Mapping[Node, str]) -> None:
    """Says what went, and why the others stay: at stake are the operations on edges before each."""
    for node, reason in reasons.items():
        notes.refuse("fuse_attention", node, reason, _on_edges(node))
    if found:
        spared = [x for node in found for x in _on_edges(node)]
        words = f"{counted(len(found), 'attention')} without rows for edges"
        notes.did("fuse_attention", words, spared)


def _on_edges(node: Node) -> list[Node]:
    return [x for x in ancestors([node]) if x.space.kind is SpaceKind.EDGE and x.flops]


# What is found


def keys_and_values(order: Iterable[Node]) -> set[Node]:
    """The edge values that are keys and values of attentions, without what moves elements."""
    found: set[Node] = set()
    for node in order:
        with suppress(_RefusedError):
            attention = _match(node)
            if attention is not None:
                found.update(map(_moved, (attention.k, attention.v)))
    return found


def _moved(node: Node) -> Node:
    while node.op.moves:
        node = node.inputs[0]
    return node


def _match(node: Node) -> _Found | None:
    """The attention that a sum over children is; None if it is none.

    Raises _RefusedError where it is one that stays.
    """
    if node.op is not SEGMENT_SUM or node.inputs[0].op is not MUL:
        return None
    for i, value in enumerate(node.inputs[0].inputs):
        weights = _unrepeated(node.inputs[0].inputs[1 - i])
        dropped = weights if weights.op is DROPOUT else None
        if dropped is not None:
            weights = _unrepeated(dropped.inputs[0])
        if weights.op is SEGMENT_SOFTMAX:
            return _of_weights(node, weights, value, dropped)
    return None


def _of_weights(node: Node, weights: Node, value: Node, dropped: Node | None) -> _Found:
    scale, products, added = _terms(weights.inputs[0])
    pair = () if products is None else products.inputs[0].inputs
    queries = [_repeated(x) for x in pair]
    if products is None or products.inputs[0].op is not MUL or queries.count(None) != 1:
        raise _RefusedError("its scores are no products of queries and keys, ops.sum(q * k, -1)")
    number = queries.index(None)
    q, key, heads = queries[1 - number], pair[number], products.size
    assert q is not None
    sizes = {size_of(x.shape[:-1]) for x in (q, key, value)}
    of_weights = {x.size for x in (weights, dropped) if x is not None}
    if sizes != {heads} or of_weights != {heads} or node.shape != value.shape:
        raise _RefusedError("queries, keys and values have other shapes than (heads, size)")
    if q.space != node.space:
        raise _RefusedError("its query has no row for each vertex")
    position = bias = None
    for term in map(_unrepeated, added):
        if term.op is CHILD_COLUMNS and position is None:
            position = term.inputs[0]
        elif term.space.kind is SpaceKind.EDGE and bias is None and term.size in (1, heads):
            bias = term
        else:
            raise _RefusedError(
                "its scores are a sum of more than products, a bias and places' scores"
            )
    dropout = None if dropped is None else (dropped.attrs["p"], dropped.attrs["key"])
    return _Found(heads, q, key, value, scale, position, bias, dropout, key.space)


def _by_children(found: _Found, scatters: Mapping[Name, Node]) -> _Found:
    """The attention with keys and values of the children; raises where they are none of these."""
    k, v = (_of_child(x, scatters) for x in (found.k, found.v))
    if k.space != v.space:
        raise _RefusedError("keys and values are states of different vertices")
    return found._replace(k=k, v=v)


def _unrepeated(node: Node) -> Node:
    """The value below what only repeats or reshapes it."""
    while node.op in (RESHAPE, BROADCAST):
        node = node.inputs[0]
    return node


def _terms(score: Node) -> tuple[float, Node | None, list[Node]]:
    """The factor of a sum over features, the sum, and what is added to it; no sum if the score is
    none of these."""
    score = without_reshapes(score)
    if score.op is ADD:
        for i, x in enumerate(score.inputs):
            scale, products, added = _terms(x)
            if products is not None:
                return scale, products, [*added, score.inputs[1 - i]]
    elif score.op is MUL:
        for i, x in enumerate(score.inputs):
            factor = ir.constant_value(_unrepeated(score.inputs[1 - i]))
            scale, products, added = _terms(x)
            if factor is not None and products is not None and not added:
                return factor * scale, products, []
    elif score.op is ROW_SUM:
        return 1.0, score, []
    return 1.0, None, []


def _repeated(node: Node) -> Node | None:
    """The value of the vertex that an edge value repeats; None if it repeats none."""
    if node.op is SPREAD:
        return node.inputs[0]
    if node.op in (RESHAPE, SLICE):
        below = _repeated(node.inputs[0])
        return None if below is None else _on(node, below)
    return None


def _of_child(node: Node, scatters: Mapping[Name, Node]) -> Node:
    """The state, or part of it, that an edge value is, as a value of the child.

    Raises _RefusedError where it is anything else.
    """
    if node.op is GATHER:
        return scatters[node.attrs["name"]]
    if node.op in (RESHAPE, SLICE):
        return _on(node, _of_child(node.inputs[0], scatters))
    raise _RefusedError(
        f"{called(node)} is computed on edges: compute it by the child, and gather it"
    )


def _on(node: Node, x: Node) -> Node:
    """An operation on a row as the same of another row."""
    return Node(node.op, (x,), node.attrs, node.shape, x.space, node.dtype, node.where)


# What it becomes


def _operands(found: _Found) -> list[Node]:
    added = (found.position, found.bias)
    return [found.q, found.k, found.v, *(x for x in added if x is not None)]


class _Reads:
    """What values depend on where the attentions of `found` read states themselves."""

    def __init__(self, found: Mapping[Node, _Found]) -> None:
        self._found = found

    def of(self, node: Node) -> Sequence[Node]:
        """The values that a value is computed from."""
        attention = self._found.get(node)
        return node.inputs if attention is None else _operands(attention)

    def order(self, roots: Iterable[Node]) -> tuple[list[Node], Node | None]:
        """All that `roots` depend on, operands first; and an attention that depends on itself, if
        there is one, with an order of no use then."""
        order: list[Node] = []
        state: dict[Node, bool] = {}
        stack = list(reversed(list(roots)))
        path: list[Node] = []
        while stack:
            node = stack[-1]
            if node in state:
                stack.pop()
                if not state[node]:
                    state[node] = True
                    order.append(node)
                    path.pop()
                continue
            state[node] = False
            path.append(node)
            for x in reversed(self.of(node)):
                if state.get(x) is False:
                    round_ = path[path.index(x) :]
                    return order, next(y for y in round_ if y in self._found)
                if x not in state:
                    stack.append(x)
        return order, None


def _among_levels(function: FunctionIR, found: dict[Node, _Found], settles: bool) -> list[Node]:
    """Takes attentions out of `found` that wait for levels which wait for them. `settles`: whether
    states that wait for no level are computed before any."""
    taken: list[Node] = []
    while found:
        reads = _Reads(found)
        states, late = _still_gathered(function, reads)
        if late is None:
            order, late = reads.order([*_results(function), *states.values()])
        if late is None:
            settled = settled_states(states, reads.of, _gathered) if settles else frozenset()
            waits: set[Node] = set()
            for node in order:
                own = node.op is GATHER and node.attrs["name"] not in settled
                if own or any(x in waits for x in reads.of(node)):
                    waits.add(node)
            needed, _ = reads.order(x for name, x in states.items() if name not in settled)
            late = next((x for x in needed if x in found and x in waits), None)
        if late is None:
            break
        del found[late]
        taken.append(late)
    return taken


def _in_levels(node: Node, function: FunctionIR, context: Context) -> _Found:
    """An attention that runs level by level; raises where it stays on edges."""
    found = _match(node)
    assert found is not None
    needed = ("read_parents", "hoist", "defer")
    off = [name for name in needed if name not in context.switches]
    if off:
        raise _RefusedError(f"it waits for levels, and {off[0]} is off")
    if found.dropout is not None:
        raise _RefusedError("it waits for levels, where dropout draws for rows of edges")
    if _reads_weights(node, function):
        raise _RefusedError("its weights are read by themselves: edges have rows of them anyway")
    (k, k_start), (v, v_start) = map(_columns_of, (found.k, found.v))
    states = [function.scatters[x.attrs["name"]] for x in (k, v)]
    if states[0].space != states[1].space:
        raise _RefusedError("keys and values are states of different vertices")
    return found._replace(k=k, v=v, columns=(k_start, v_start))


def _reads_weights(node: Node, function: FunctionIR) -> bool:
    """Whether something else than the attention `node` reads its weights."""
    (product,), roots = node.inputs, function.roots()
    softmax = next(x for x in map(_unrepeated, product.inputs) if x.op is SEGMENT_SOFTMAX)
    readers = [x for x in ancestors(roots) for y in x.inputs if _unrepeated(y) is softmax]
    apart = [x for x in readers if x is not product and x.op not in (RESHAPE, BROADCAST)]
    return bool(apart) or any(_unrepeated(x) is softmax for x in roots)


def _columns_of(node: Node) -> tuple[Node, int]:
    """The gather whose columns an edge value is, and the first of these columns."""
    start = 0
    while node.op is not GATHER:
        (x,) = node.inputs
        if node.op is SLICE and x.size != x.shape[-1]:
            raise _RefusedError(
                "its keys or values, which wait for levels, are parts of heads: scatter them apart"
            )
        start += node.attrs["start"] if node.op is SLICE else 0
        node = x
    return node, start


def _gathered(node: Node) -> Name | None:
    return node.attrs["name"] if node.op is GATHER else None


def _results(function: FunctionIR) -> list[Node]:
    return [*function.pushes.values(), *function.updates.values()]


def _still_gathered(function: FunctionIR, reads: _Reads) -> tuple[dict[Name, Node], Node | None]:
    """The states that somebody gathers, and an attention that depends on itself, if one does."""
    states: dict[Name, Node] = {}
    while True:
        order, late = reads.order([*_results(function), *states.values()])
        names = {x.attrs["name"] for x in order if x.op is GATHER}
        if late is not None or names <= set(states):
            return {k: x for k, x in function.scatters.items() if k in states}, late
        states = {k: x for k, x in function.scatters.items() if k in names}


class _Replaced:
    """F with the attentions of `found`."""

    def __init__(self, function: FunctionIR, found: Mapping[Node, _Found]) -> None:
        reads = _Reads(found)
        states, _ = _still_gathered(function, reads)
        order, _ = reads.order([*_results(function), *states.values()])
        new: dict[Node, Node] = {}
        for node in order:
            operands = [new[x] for x in reads.of(node)]
            attention = found.get(node)
            if attention is None:
                new[node] = rebuild(node, operands)
            else:
                new[node] = _attention(node, attention, operands)
        self.function = replace(function, scatters=states).map(new)


def _attention(node: Node, found: _Found, operands: Sequence[Node]) -> Node:
    q, k, v, *added = operands
    if found.scale != 1.0:
        q = apply(MUL, q, found.scale)
    op, values, columns = ATTENTION, v.size, {}
    if found.columns is not None:
        op, values = LEVEL_ATTENTION, node.size
        k_start, v_start = found.columns
        columns = {
            "size": q.size // found.heads,
            "values": values // found.heads,
            "k_start": k_start,
            "v_start": v_start,
        }
    attrs = {
        **columns,
        "heads": found.heads,
        "edges": found.edges,
        "to": node.space,
        "position": found.position is not None,
        "bias": found.bias is not None,
        "dropout": found.dropout,
    }
    shape = (values + found.heads,)
    row = Node(op, (q, k, v, *added), attrs, shape, node.space, where=node.where)
    means: Node = reshape(slice_last(row, 0, values), node.shape)
    return apply(MUL, means, 1 / (1 - found.dropout[0])) if found.dropout else means
