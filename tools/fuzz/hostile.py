"""Hostile graphs, batches and inputs: a right result or an error of one line, never a crash.

Accepted graphs are compared with the result of plain Python for the same numbers, and calls of a
model with the reference executor.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from graphs import draw_graph
from mutations import FLOATS, NUMBERS, OBJECTS, mutated_array, wrong
from workers import Worker

import cavs
from cavs.data import parse_parents

_ERRORS = cavs.CavsError
Lists = list[list[int]]


class _Index:
    """An object that converts to an integer."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        return self.value


class WrongResultError(Exception):
    """cavs accepted an input, but took it for something else."""


def expect(condition: Any, what: str) -> None:
    if not condition:
        raise WrongResultError(what)


def _number(rng: random.Random, count: int) -> Any:
    way = rng.random()
    if way < 0.75:
        return rng.randrange(max(1, count))
    if way < 0.85:
        return rng.choice(NUMBERS)
    if way < 0.9:
        return rng.choice([np.int64(0), np.uint8(1), _Index(0), _Index(2**70), _Index("x"), True])
    return rng.choice([*OBJECTS, *FLOATS, np.float32(0), np.array(0), np.array([0]), np.nan])


def _numbers(rng: random.Random, numbers: list[Any]) -> Any:
    """The same numbers as a list, a tuple, or an array of some dtype and layout."""
    way = rng.randrange(8)
    if way < 3:
        return numbers
    if way == 3:
        return tuple(numbers)
    if way == 4:
        return rng.choice([iter(numbers), range(len(numbers)), *OBJECTS])
    try:
        array = np.array(numbers, rng.choice([np.int64, np.int32, np.uint64, np.uint8, object]))
    except (TypeError, ValueError, OverflowError):
        return numbers
    return mutated_array(rng, array) if way == 5 else array


def _acyclic(children: Lists) -> bool:
    done: set[int] = set()
    left = set(range(len(children)))
    while left:
        ready = {v for v in left if all(c in done for c in children[v])}
        if not ready:
            return False
        done |= ready
        left -= ready
    return True


def _check_graph(graph: cavs.InputGraph) -> None:
    with_holes = [[int(c) for c in row] for row in graph.children]
    expect(all(row[-1] != -1 for row in with_holes if row), "holes at the end of a list")
    slots = [k for row in with_holes for k, c in enumerate(row) if c != -1]
    expect(list(graph.child_slot) == slots, "slots of children")
    children = [[c for c in row if c != -1] for row in with_holes]
    expect(graph.num_vertices == len(children), "the number of vertices")
    expect(graph.num_edges == sum(map(len, children)), "the number of edges")
    inside = all(0 <= c < len(children) for row in children for c in row)
    expect(inside and _acyclic(children), f"a graph of {children} was accepted")
    used = {c for row in children for c in row}
    expect(sorted(graph.roots) == [v for v in range(len(children)) if v not in used], "roots")
    expect(graph.reverse().reverse().num_edges == graph.num_edges, "edges of the reverse")
    levels: list[int] = [0] * len(children)
    for _ in children:
        levels = [1 + max((levels[c] for c in row), default=-1) for row in children]
    expect(list(graph.levels) == levels, f"levels of {children}")


def _check_batch(batch: cavs.GraphBatch, policy: str) -> None:
    schedule = batch.schedule(policy)
    order = np.asarray(schedule.vertex_order)
    expect(sorted(order) == list(range(batch.num_vertices)), "an order of all vertices")
    row = {int(v): r for r, v in enumerate(order)}
    graph_of = np.searchsorted(batch.ptr, np.arange(batch.num_vertices), "right") - 1
    for v in range(batch.num_vertices):
        mine = batch.children[batch.child_ptr[v] : batch.child_ptr[v + 1]]
        r = row[v]
        rows = schedule.child[schedule.child_ptr[r] : schedule.child_ptr[r + 1]]
        expect([int(order[c]) for c in rows] == list(mine), "children in the schedule")
        expect(all(c < r for c in rows), "children before their parents")
        expect(all(graph_of[c] == graph_of[v] for c in mine), "children of one graph")


def _lists(rng: random.Random) -> str:
    count = rng.randrange(7)
    plain = [[_number(rng, count) for _ in range(rng.randrange(4))] for _ in range(count)]
    given: Any = [_numbers(rng, row) if rng.random() < 0.3 else row for row in plain]
    if rng.random() < 0.05:
        given = rng.choice(OBJECTS)
    _check_graph(cavs.InputGraph(given))
    return "InputGraph"


def _from_parents(rng: random.Random) -> str:
    count = rng.randrange(8)
    parents = [rng.choice([-1, _number(rng, count)]) for _ in range(count)]
    given = _numbers(rng, parents)
    graph = cavs.InputGraph.from_parents(given, **rng.choice([{}, {"order": "leaf"}, {"order": 3}]))
    _check_graph(graph)
    if given is parents and all(type(p) is int for p in given):
        found = [-1] * count
        for v, row in enumerate(graph.children):
            for c in row:
                found[c] = v
        expect(found == given, f"parents {given}, found {found}")
    return "from_parents"


def _from_edges(rng: random.Random) -> str:
    count, edges = rng.randrange(7), rng.randrange(8)
    most = count if rng.random() < 0.9 else rng.choice([-1, None, "x", 1.5, _Index(3), 2**63])
    below = [_number(rng, count) for _ in range(edges)]
    above = [_number(rng, count) for _ in range(edges if rng.random() < 0.9 else edges + 1)]
    _check_graph(cavs.InputGraph.from_edges(most, _numbers(rng, below), _numbers(rng, above)))
    return "from_edges"


def _offsets(rng: random.Random, counts: Sequence[int]) -> list[Any]:
    offsets: list[Any] = [0]
    for count in counts:
        offsets.append(offsets[-1] + count)
    if rng.random() < 0.25:
        offsets[rng.randrange(len(offsets))] = _number(rng, 9)
    return offsets if rng.random() < 0.95 else offsets[:-1]


def _from_csr(rng: random.Random) -> str:
    arities = [rng.randrange(3) for _ in range(rng.randrange(6))]
    children = [_number(rng, len(arities)) for _ in range(sum(arities))]
    child_ptr = _offsets(rng, arities)
    _check_graph(cavs.InputGraph.from_csr(_numbers(rng, child_ptr), _numbers(rng, children)))
    return "from_csr"


def _windows(rng: random.Random) -> str:
    count = rng.randrange(7)
    ends = [rng.randrange(v + 1) for v in range(count)]
    first = [rng.randrange(end + 1) for end in ends]
    lengths = [end - begin for begin, end in zip(first, ends, strict=True)]
    if count and rng.random() < 0.4:
        rng.choice([first, lengths])[rng.randrange(count)] = _number(rng, count)
    if rng.random() < 0.05:
        lengths = lengths[1:]
    graph = cavs.InputGraph.windows(_numbers(rng, first), _numbers(rng, lengths))
    lists = cavs.InputGraph(graph.children)
    expect(graph == lists and hash(graph) == hash(lists), "a graph with runs equal to its lists")
    _check_graph(graph)
    expect(cavs.batch([graph]).has_runs == (count > 0), "a batch that holds runs")
    return "windows"


def _chain(rng: random.Random) -> str:
    numbers = [rng.choice([0, 1, 2, 3, 5, _number(rng, 5)]) for _ in range(3)]
    length, window, memory = (
        n if n.__class__ is not int or n < 40 or n > 2**31 else 7 for n in numbers
    )
    _check_graph(cavs.InputGraph.chain(length, window=window, memory=memory))
    return "chain"


def _batch_from_csr(rng: random.Random) -> str:
    sizes = [rng.randrange(4) for _ in range(rng.randrange(4))]
    arities = [rng.randrange(3) for _ in range(sum(sizes))]
    graph_of = [g for g, size in enumerate(sizes) for _ in range(size)]
    children = [
        _number(rng, sizes[graph_of[v]]) for v, arity in enumerate(arities) for _ in range(arity)
    ]
    keys = None if rng.random() < 0.6 else _numbers(rng, [_number(rng, 9) for _ in sizes])
    batch = cavs.GraphBatch.from_csr(
        _numbers(rng, _offsets(rng, sizes)),
        _numbers(rng, _offsets(rng, arities)),
        _numbers(rng, children),
        keys,
    )
    _check_batch(batch, rng.choice(["batching", "serial"]))
    expect(batch.reverse().num_edges == batch.num_edges, "edges of the reverse")
    return "GraphBatch.from_csr"


def _batches(rng: random.Random) -> str:
    graphs: list[Any] = [draw_graph(rng) for _ in range(rng.randrange(4))]
    if rng.random() < 0.2:
        graphs.insert(rng.randrange(len(graphs) + 1), rng.choice([*OBJECTS, cavs.batch([])]))
    keys = None if rng.random() < 0.5 else _numbers(rng, [_number(rng, 9) for _ in graphs])
    given: Any = graphs if rng.random() < 0.95 else rng.choice(OBJECTS)
    batch = cavs.batch(given, keys)
    _check_batch(batch, rng.choice(["batching", "serial", "serial", "x", None, 3]))
    values = np.arange(2 * batch.num_vertices, dtype=np.float32).reshape(-1, 2)
    wrong_values = rng.random() < 0.4
    parts = cavs.unbatch(batch, mutated_array(rng, values) if wrong_values else values)
    if not wrong_values:
        expect(np.array_equal(np.concatenate([values[:0], *parts]), values), "unbatched rows")
    alone = isinstance(given, cavs.InputGraph)
    expect(cavs.unbatch(batch) == ([given] if alone else list(given)), "unbatched graphs")
    return "batch"


def _readouts(rng: random.Random) -> str:
    batch = cavs.batch([draw_graph(rng) for _ in range(rng.randrange(4))])
    numbers = np.random.default_rng(rng.randrange(1 << 30))
    x = numbers.standard_normal((batch.num_vertices, 3))
    kind = rng.choice(["root", "sum", "mean", "max", "x", None])
    if rng.random() < 0.4:
        cavs.readout(batch, mutated_array(rng, x), kind)
        return "readout"
    found = cavs.readout(batch, cavs.Tensor(x), kind).numpy()
    parts = [x[a:b] for a, b in zip(batch.ptr, batch.ptr[1:], strict=False)]
    if kind in ("sum", "mean", "max"):
        means: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "max": np.max}
        expected = [means[kind](p, axis=0) if len(p) else np.zeros(3) for p in parts]
        expect(np.allclose(found, np.reshape(expected, (-1, 3))), f"readout {kind}")
    return "readout"


def _parents_text(rng: random.Random) -> str:
    words = [str(rng.choice([-1, 0, 1, 2, 3, 4, _number(rng, 5)])) for _ in range(rng.randrange(7))]
    text = rng.choice([" ", "  ", "\t", ",", "\x00", "\n"]).join(words)
    _check_graph(parse_parents(text))
    return "parse_parents"


def _changed_after(rng: random.Random) -> str:
    """Writes to the caller's arrays afterwards: the arrays that cavs gives out must not change."""
    graph = draw_graph(rng)
    ptr, index = np.array(graph.child_ptr), np.array(graph.child_index)
    again = cavs.InputGraph.from_csr(ptr, index, graph.child_slot)
    before = again.children
    ptr[:] = 2**31 - 1
    index[:] = -7
    expect(again.children == before, "a graph that changed with the caller's array")
    for array in (again.child_ptr, again.child_index, again.roots, cavs.batch([again]).keys):
        expect(not array.flags.writeable or array.base is None, "an array that can be written to")
    return "changed after"


class _Function(cavs.VertexFunction):
    def __init__(self) -> None:
        self.embedding = cavs.nn.Embedding(7, 4)
        self.linear = cavs.nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32")) + v.pull("x", 4)
        h = cavs.ops.tanh(self.linear(x) + v.gather(h=4).h.sum())
        v.scatter(h=h)
        v.push(y=h, z=v.pull_graph("g", 2) * 2.0)


@cache
def _models(device: str) -> tuple[cavs.Model, cavs.Model]:
    cavs.nn.init.manual_seed(0)
    reference = cavs.compile(_Function(), executor="reference")
    native = cavs.compile(_Function(), device=device)
    native.load_state_dict(reference.state_dict())
    return native, reference


def _calls(rng: random.Random, device: str) -> str:
    native, reference = _models(device)
    batch: Any = cavs.batch([draw_graph(rng) for _ in range(rng.randrange(4))])
    numbers = np.random.default_rng(rng.randrange(1 << 30))
    inputs: dict[str, Any] = {
        "word": numbers.integers(-1, 7, batch.num_vertices).astype(np.int32),
        "x": numbers.standard_normal((batch.num_vertices, 4)).astype(np.float32),
    }
    if "g" in native.inputs:
        inputs["g"] = numbers.standard_normal((batch.num_graphs, 2)).astype(np.float32)
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(list(inputs))
        inputs[name] = mutated_array(rng, inputs[name])
    if rng.random() < 0.05:
        inputs.pop(rng.choice(list(inputs)))
    if rng.random() < 0.03:
        batch = rng.choice([*OBJECTS, cavs.InputGraph([[]])])
    results = []
    for model in (native, reference):
        with cavs.no_grad(), np.errstate(all="ignore"):
            results.append(_outcome(model, batch, inputs))
    found, expected = results
    if isinstance(expected, str) or isinstance(found, str):
        expect(found == expected, f"{found} where the reference has {expected}")
        return "call"
    for name, y in expected.items():
        same = np.allclose(found[name], y, rtol=1e-4, atol=1e-5, equal_nan=True)
        expect(same, f"output {name} of {inputs}")
    return "call"


def _outcome(model: cavs.Model, batch: Any, inputs: dict[str, Any]) -> Any:
    try:
        return {name: y.numpy() for name, y in model(batch, **inputs).items()}
    except _ERRORS as error:
        fault = wrong(error)
        if fault is not None:
            raise WrongResultError(fault) from error
        return type(error).__name__


_TRIALS = (
    *(_lists, _from_parents, _from_edges, _from_csr, _windows, _chain, _batch_from_csr),
    *(_batches, _readouts),
    *(_parents_text, _changed_after, _calls, _calls),
)


def trial(seed: int, device: str = "cpu") -> str | None:
    """Tries one hostile input; returns the fault, or None. Calls of a model run on `device`."""
    rng = random.Random(f"graphs {seed}")
    kind = rng.choice(_TRIALS)
    try:
        if kind is _calls:
            _calls(rng, device)
        else:
            kind(rng)
    except _ERRORS as error:
        return wrong(error)
    except Exception as error:  # not an error that cavs documents
        return f"{kind.__name__}: {type(error).__name__}: {error}"
    return None


_worker = Worker("hostile")
check = _worker.check
