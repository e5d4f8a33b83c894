"""Attention over children's states of the same recursion, level by level and without edge rows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import dags, forests
from vertex_functions.attention import AttentionsOfStates

import cavs
from cavs import nn, ops
from cavs._native import core
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES

ON_EDGES = tuple(name for name in PASSES if name != "fuse_attention")
APART = tuple(name for name in PASSES if name != "specialize_leaves")
Arrays = dict[str, np.ndarray]
HEADS, SIZE, VALUES, PLACES = 2, 3, 5, 12


class Recursion(cavs.VertexFunction):
    """h = tanh(x + W attention), whose keys and values are products of the children's h."""

    def __init__(self, bias: int = HEADS, position: bool = True) -> None:
        self.bias, self.position = bias, position
        self.q, self.k = (nn.Linear(4, HEADS * SIZE, bias=False) for _ in range(2))
        self.v, self.out = nn.Linear(4, HEADS * VALUES), nn.Linear(HEADS * VALUES, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x, h = v.pull("x", 4), v.gather(h=4).h
        added: dict[str, Any] = {}
        if self.bias:
            added["bias"] = v.pull_edge("bias", self.bias)[:] if self.bias > 1 else v.pull_edge("b")
        if self.position:
            added["position"] = v.pull("places", (HEADS, PLACES))
        mean = ops.attention(
            self.q(x).reshape(HEADS, SIZE),
            self.k(h).reshape(HEADS, SIZE),
            self.v(h).reshape(HEADS, VALUES),
            **added,
        )
        h = ops.tanh(x + self.out(mean.reshape(HEADS * VALUES)))
        v.scatter(h=h)
        v.push(h=h)


class Leaf(cavs.VertexFunction):
    """A word."""

    def __init__(self, layers: tuple[nn.Linear, nn.Linear]) -> None:
        self.k, self.v = layers

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("word", 6)
        v.scatter(k=self.k(x).reshape(2, 3), v=self.v(x).reshape(2, 3))


class Node(cavs.VertexFunction):
    """Looks at words and at other nodes, apart and together."""

    def __init__(self, layers: tuple[nn.Linear, nn.Linear]) -> None:
        self.k, self.v = layers
        self.q, self.own = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 6)
        q = self.q(x).reshape(2, 3)
        kids, nodes = v.gather(k=(2, 3), v=(2, 3)), v.gather(k=(2, 3), v=(2, 3), of="node")
        y = ops.attention(q, kids.k, kids.v) + 0.5 * ops.attention(q, nodes.k, nodes.v)
        h = ops.tanh(x + self.own(y.reshape(6)))
        v.scatter(k=self.k(h).reshape(2, 3), v=self.v(h).reshape(2, 3))
        v.push(h=h)


def typed() -> cavs.TypedFunction:
    layers = nn.Linear(6, 6), nn.Linear(6, 6)
    return cavs.TypedFunction({"leaf": Leaf(layers), "node": Node(layers)})


def dag(size: int, most: int, seed: int, types: bool = False) -> cavs.InputGraph:
    rng = np.random.default_rng(seed)
    lists = [
        rng.integers(0, i, rng.integers(0, most + 1)).tolist() if i else [] for i in range(size)
    ]
    return cavs.InputGraph(lists, types=["node" if x else "leaf" for x in lists] if types else None)


def wide() -> cavs.InputGraph:
    """A vertex of 700 children, some of whom have that many parents."""
    rng = np.random.default_rng(9)
    return cavs.InputGraph([[]] * 350 + [rng.permutation(350).tolist()] * 2 + [[*range(352)] * 2])


FUNCTIONS = {
    "recursion": (Recursion, [dag(30, 6, 1), dag(12, 11, 2), dag(1, 0, 0), cavs.InputGraph([])]),
    "one bias": (lambda: Recursion(1, position=False), [dag(20, 6, 3)]),
    "nothing added": (lambda: Recursion(0, position=False), [wide(), dag(5, 4, 4)]),
    "several": (AttentionsOfStates, [dag(25, 5, 5), dag(9, 9, 6)]),
    "types": (typed, [dag(25, 5, 7, types=True), dag(9, 9, 8, types=True)]),
}


def made(name: str, dtype: str = "float64", passes: tuple[str, ...] = PASSES) -> cavs.Model:
    """The model with the same parameters every time."""
    nn.init.manual_seed(3)
    return cavs.compile(of_dtype(FUNCTIONS[name][0](), dtype), dtype=dtype, passes=passes)


def of_dtype(function: Any, dtype: str) -> Any:
    for p in function.parameters():
        p.data = p.data.astype(dtype)
    return function


def drawn(model: cavs.Model, graphs: cavs.GraphBatch, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    found = {}
    for name, spec in sorted(model.inputs.items()):
        rows = model_rows(graphs, spec.rows)
        found[name] = rng.normal(size=(rows, *spec.shape))
    return found


def model_rows(graphs: cavs.GraphBatch, rows: Any) -> int:
    if rows.kind is SpaceKind.EDGE:
        return graphs.num_edges
    members = getattr(rows, "members", None)
    if members is None:
        return graphs.num_vertices
    return sum(t in members for graph in cavs.unbatch(graphs) for t in graph.types)


def run(model: cavs.Model, graphs: cavs.GraphBatch, x: Arrays, d: np.ndarray | None) -> Arrays:
    """The output and all gradients."""
    dtype = np.dtype(model.dtype)
    t = {name: cavs.tensor(a.astype(dtype), requires_grad=True) for name, a in x.items()}
    h = model(graphs, **t)["h"]
    if d is None:
        d = np.random.default_rng(1).normal(size=h.shape)
    model.zero_grad()
    (h * d.astype(dtype)).sum().backward()
    gradients = {f"d {name}": np.asarray(a.grad) for name, a in t.items()}
    weights = {f"d {n}": np.asarray(p.grad) for n, p in model.function.named_parameters()}
    return {"h": h.numpy(), **gradients, **weights}


def compare(found: Mapping[str, np.ndarray], expected: Arrays, rtol: float) -> None:
    assert found.keys() == expected.keys()
    for name, a in expected.items():
        scale = max(1.0, float(np.abs(a).max(initial=0)))
        np.testing.assert_allclose(found[name], a, rtol=0, atol=rtol * scale, err_msg=name)


def programs(model: cavs.Model) -> list[Any]:
    compiler = model._compiler
    names = [name for name, spec in model.inputs.items() if spec.dtype == "float"]
    return [compiler.training(names), compiler.backward(compiler.function.pushes, names)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_on_edges(name: str) -> None:
    graphs = cavs.batch(FUNCTIONS[name][1])
    fused, on_edges = made(name), made(name, passes=ON_EDGES)
    x = drawn(fused, graphs)
    expected = run(on_edges, graphs, x, None)
    compare(run(fused, graphs, x, None), expected, 1e-12)
    compare(run(made(name, passes=APART), graphs, x, None), expected, 1e-12)
    compare(run(made(name, "float32"), graphs, x, None), expected, 3e-5)
    kernels = {i.kernel for p in programs(fused) for s in p.segments for i in s.instructions}
    assert {"level_attention", "level_attention_grad", "level_attention_children"} <= kernels
    assert "segment_softmax" not in kernels


@pytest.mark.parametrize("name", ["nothing added", "types"])
def test_no_edge_has_a_row(name: str) -> None:
    for program in programs(made(name)):
        assert not [v.name for v in program.values if v.space.kind is SpaceKind.EDGE]


def of_torch(graph: cavs.InputGraph, x: Arrays, w: Arrays, d: np.ndarray) -> Arrays:
    """`Recursion` and its gradients by PyTorch, vertex by vertex, children first."""
    torch = pytest.importorskip("torch")
    t = {name: torch.tensor(a, requires_grad=True) for name, a in {**x, **w}.items()}
    h: list[Any] = []
    edge = 0
    for v, children in enumerate(graph.children):
        mean = torch.zeros(HEADS, VALUES, dtype=torch.float64)
        n = len(children)
        if n:
            below = torch.stack([h[c] for c in children])
            q = (t["x"][v] @ t["q.weight"].T).reshape(HEADS, SIZE)
            k = (below @ t["k.weight"].T).reshape(n, HEADS, SIZE)
            values = (below @ t["v.weight"].T + t["v.bias"]).reshape(n, HEADS, VALUES)
            score = torch.einsum("hs,nhs->hn", q, k) / SIZE**0.5
            score = score + t["bias"][edge : edge + n].T + t["places"][v][:, PLACES - n :]
            mean = torch.einsum("hn,nhs->hs", torch.softmax(score, 1), values)
        edge += n
        out = mean.reshape(-1) @ t["out.weight"].T + t["out.bias"]
        h.append(torch.tanh(t["x"][v] + out))
    result = torch.stack(h)
    (result * torch.tensor(d)).sum().backward()
    return {"h": result.detach().numpy(), **{f"d {n}": a.grad.numpy() for n, a in t.items()}}


def test_the_recursion_is_that_of_torch() -> None:
    model, graph = made("recursion"), dag(40, 9, 11)
    x = drawn(model, cavs.batch([graph]))
    w = {name: p.data for name, p in model.function.named_parameters()}
    d = np.random.default_rng(2).normal(size=(40, 4))
    compare(run(model, cavs.batch([graph]), x, d), of_torch(graph, x, w, d), 1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(dags(max_vertices=9, holes=True) | forests(max_vertices=9), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_any_graphs(graphs: list[cavs.InputGraph], seed: int) -> None:
    batch = cavs.batch(graphs)
    for name in ("recursion", "several"):
        fused, on_edges = kept(name, PASSES), kept(name, ON_EDGES)
        x = drawn(fused, batch, seed)
        compare(run(fused, batch, x, None), run(on_edges, batch, x, None), 1e-11)


_KEPT: dict[tuple[str, tuple[str, ...]], cavs.Model] = {}


def kept(name: str, passes: tuple[str, ...]) -> cavs.Model:
    if (name, passes) not in _KEPT:
        _KEPT[name, passes] = made(name, passes=passes)
    return _KEPT[name, passes]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_differences(name: str) -> None:
    graphs = cavs.batch(
        [dag(7, 4, 12, types=name == "types"), dag(5, 3, 13, types=name == "types")]
    )
    model = made(name)
    x = drawn(model, graphs)
    rng = np.random.default_rng(4)
    found = run(model, graphs, x, None)
    d = np.random.default_rng(1).normal(size=found["h"].shape)
    for key, a in x.items():
        direction, step = rng.normal(size=a.shape), 1e-6
        ends = [
            float((run(model, graphs, {**x, key: a + s * step * direction}, d)["h"] * d).sum())
            for s in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float((found[f"d {key}"] * direction).sum()) == pytest.approx(
            expected, rel=1e-6, abs=1e-8
        )


def test_second_derivatives() -> None:
    graphs = cavs.batch([dag(7, 4, 14)])
    fused, on_edges = made("recursion"), made("recursion", passes=ON_EDGES)
    x = drawn(fused, graphs)
    found = []
    for model in (fused, on_edges):
        t = {name: cavs.tensor(a, requires_grad=True) for name, a in x.items()}
        h = model(graphs, **t)["h"]
        slopes = cavs.grad((h * h).sum(), list(t.values()), create_graph=True)
        total = sum(((s * s).sum() for s in slopes), cavs.tensor(np.zeros(())))
        again = cavs.grad(total, list(t.values()))
        found.append({name: a.numpy() for name, a in zip(t, again, strict=True)})
    compare(*found, 1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["recursion", "several", "types"])
def test_bits_depend_on_the_graph_alone(name: str, dtype: str, restored_threads: None) -> None:
    model = made(name, dtype)
    graphs = [*FUNCTIONS[name][1], *[dag(40, 9, s, types=name == "types") for s in range(20, 60)]]
    together = cavs.batch(graphs)
    x = drawn(model, together)
    rows = [key for key in run(model, together, x, None) if key == "h" or key[2:] in x]
    results = []
    for threads in (1, 2):
        cavs.set_num_threads(threads)
        results.append(run(model, together, x, None))
    for key in rows:
        np.testing.assert_array_equal(results[1][key], results[0][key], err_msg=key)
    if name == "types":
        return  # inputs of several types have rows of their own
    d = np.random.default_rng(1).normal(size=results[0]["h"].shape)
    number = 1
    vertices = slice(together.ptr[number], together.ptr[number + 1])
    edges = slice(together.edge_ptr[number], together.edge_ptr[number + 1])
    own = {key: a[edges if key == "bias" else vertices] for key, a in x.items()}
    alone = run(model, cavs.batch([graphs[number]]), own, d[vertices])
    for key in rows:
        part = results[0][key][edges if key == "d bias" else vertices]
        np.testing.assert_array_equal(alone[key], part, err_msg=key)


def test_a_child_that_cannot_be_seen() -> None:
    model, on_edges = made("recursion"), made("recursion", passes=ON_EDGES)
    graphs = cavs.batch([wide_dag()])
    x = drawn(model, graphs)
    x["bias"][::2] = -np.inf  # half of the children of each vertex
    first = slice(*graphs.child_ptr[6:8])
    x["bias"][first] = -np.inf  # and all of one
    found, expected = run(model, graphs, x, None), run(on_edges, graphs, x, None)
    bias = "d bias"
    seen = np.isfinite(x["bias"]).all(axis=1)
    found[bias], expected[bias] = found[bias][seen], expected[bias][seen]
    assert all(np.isfinite(a).all() for a in found.values())
    rest = {key: a for key, a in expected.items() if np.isfinite(a).all()}
    compare({key: found[key] for key in rest}, rest, 1e-12)
    assert "h" in rest


def wide_dag() -> cavs.InputGraph:
    return cavs.InputGraph([list(range(i)) for i in range(PLACES)])


def test_more_children_than_places_are_refused() -> None:
    model = made("recursion")
    graphs = cavs.batch([cavs.InputGraph([[]] * 13 + [list(range(13))])])
    with pytest.raises(cavs.CavsError, match=r"at most 12 children.*got 13"):
        model(graphs, **drawn(model, graphs))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_a_gpu(name: str, dtype: str) -> None:
    graphs = cavs.batch([g for g in FUNCTIONS[name][1] if g.num_edges < 200])
    nn.init.manual_seed(3)
    on_gpu = cavs.compile(of_dtype(FUNCTIONS[name][0](), dtype), dtype=dtype, device="cuda")
    model = made(name, dtype)
    x = drawn(model, graphs)
    rtol = 3e-5 if dtype == "float32" else 1e-12
    compare(run(on_gpu, graphs, x, None), run(model, graphs, x, None), rtol)


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import test_attention_levels as t
for name in t.FUNCTIONS:
    graphs = t.cavs.batch(t.FUNCTIONS[name][1])
    x = t.drawn(t.made(name), graphs)
    expected = t.run(t.made(name, passes=t.ON_EDGES), graphs, x, None)
    t.compare(t.run(t.made(name), graphs, x, None), expected, 1e-12)
    t.compare(t.run(t.made(name, "float32"), graphs, x, None), expected, 3e-5)
print(t.core.instruction_set())
"""


@pytest.mark.parametrize("isa", ["generic", "avx2"])
def test_other_instruction_sets(isa: str) -> None:
    here = os.path.dirname(__file__)
    script = SCRIPT.format(paths=[here, os.path.dirname(here)])
    environment = {**os.environ, "CAVS_ISA": isa}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == isa or core.instruction_set() == "generic"
