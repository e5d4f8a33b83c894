"""Attention over children: values and gradients beside NumPy and PyTorch, on edges and without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_cases import (
    GRAPHS,
    ON_EDGES,
    Arrays,
    compare,
    dag,
    drawn,
    kernels,
    numpy_attention,
    window,
)

import cavs
from cavs import ops
from cavs.core.passes import PASSES


class Heads(cavs.VertexFunction):
    """Attention of inputs, with all that scores add."""

    def __init__(self, heads: int, size: int, values: int, places: int, bias: tuple = ()) -> None:
        self.sizes = heads, size, values, places
        self.bias = bias

    def forward(self, v: cavs.Vertex) -> None:
        heads, size, values, places = self.sizes
        kids = v.gather(k=(heads, size), w=(heads, values))
        v.scatter(k=v.pull("k", (heads, size)), w=v.pull("w", (heads, values)))
        y = ops.attention(
            v.pull("q", (heads, size)),
            kids.k,
            kids.w,
            bias=v.pull_edge("bias", self.bias),
            position=v.pull("position", (heads, places)),
        )
        v.push(y=y)


def torch_attention(graphs: cavs.GraphBatch, x: Arrays, places: int, d: np.ndarray) -> Arrays:
    """Gradients of the sum of y * d, by PyTorch."""
    torch = pytest.importorskip("torch")
    t = {name: torch.tensor(a, requires_grad=True) for name, a in x.items()}
    total = torch.zeros((), dtype=torch.float64)
    for v in range(graphs.num_vertices):
        edges = list(range(graphs.child_ptr[v], graphs.child_ptr[v + 1]))
        if not edges:
            continue
        kids = torch.tensor(graphs.children[edges].astype(np.int64))
        score = torch.einsum("hs,nhs->hn", t["q"][v], t["k"][kids]) / x["q"].shape[-1] ** 0.5
        bias = t["bias"][edges]
        score = score + t["position"][v][:, places - len(edges) :]
        score = score + (bias if bias.ndim == 1 else bias.T)
        y = torch.einsum("hn,nhs->hs", torch.softmax(score, 1), t["w"][kids])
        total = total + (y * torch.tensor(d[v])).sum()
    total.backward()
    return {name: a.grad.numpy() for name, a in t.items()}


def run(model: cavs.Model, graphs: cavs.GraphBatch, x: Arrays, d: np.ndarray) -> Arrays:
    """The output and all gradients."""
    dtype = np.dtype(model.dtype)
    t = {name: cavs.tensor(a.astype(dtype), requires_grad=True) for name, a in x.items()}
    y = model(graphs, **t)["y"]
    (y * d.astype(dtype)).sum().backward()
    return {"y": y.numpy(), **{name: np.asarray(a.grad) for name, a in t.items()}}


@pytest.mark.parametrize("graphs", GRAPHS)
@pytest.mark.parametrize("sizes", [(2, 16, 16), (3, 5, 7), (1, 1, 33)], ids=str)
@pytest.mark.parametrize("bias", [(), "heads"])
def test_values_and_gradients(graphs: str, sizes: tuple[int, int, int], bias: Any) -> None:
    places = 41
    batch = cavs.batch(GRAPHS[graphs])
    function = Heads(*sizes, places, (sizes[0],) if bias else ())
    fused = cavs.compile(function, dtype="float64")
    x = drawn(fused, batch)
    d = np.random.default_rng(1).normal(size=(batch.num_vertices, sizes[0], sizes[2]))
    expected = {"y": numpy_attention(batch, x, places), **torch_attention(batch, x, places, d)}
    compare(run(fused, batch, x, d), expected, 1e-12)
    compare(run(cavs.compile(function, dtype="float32"), batch, x, d), expected, 3e-5)
    compare(
        run(cavs.compile(function, dtype="float64", passes=ON_EDGES), batch, x, d), expected, 1e-12
    )
    assert "attention_grad" in kernels(fused)


def test_the_reference_is_the_definition() -> None:
    batch = cavs.batch(GRAPHS["lists"])
    model = cavs.compile(Heads(2, 3, 4, 41, (2,)), dtype="float64", executor="reference")
    x = drawn(model, batch)
    d = np.random.default_rng(1).normal(size=(batch.num_vertices, 2, 4))
    expected = {"y": numpy_attention(batch, x, 41), **torch_attention(batch, x, 41, d)}
    compare(run(model, batch, x, d), expected, 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_depend_on_the_graph_alone(dtype: str, restored_threads: None) -> None:
    function = Heads(3, 16, 20, 41, ())
    model = cavs.compile(function, dtype=dtype)
    together = cavs.batch([g for graphs in GRAPHS.values() for g in graphs])
    x = drawn(model, together)
    d = np.random.default_rng(1).normal(size=(together.num_vertices, 3, 20))
    results = []
    for threads in (1, 2):
        cavs.set_num_threads(threads)
        results.append(run(model, together, x, d))
    for name, a in results[0].items():
        np.testing.assert_array_equal(results[1][name], a, err_msg=name)
    number = len(GRAPHS["windows"]) + 1
    alone = cavs.batch([list(GRAPHS["segments"])[1]])
    rows = slice(together.ptr[number], together.ptr[number + 1])
    edges = slice(together.edge_ptr[number], together.edge_ptr[number + 1])
    own = {name: a[edges if name == "bias" else rows] for name, a in x.items()}
    for name, a in run(model, alone, own, d[rows]).items():
        part = results[0][name][edges if name == "bias" else rows]
        np.testing.assert_array_equal(a, part, err_msg=name)


def test_shared_position_scores_and_a_learned_query() -> None:
    class Learned(cavs.VertexFunction):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.places = cavs.Parameter(rng.normal(size=(2, 6)))
            self.query = cavs.Parameter(rng.normal(size=(2, 3)))

        def forward(self, v: cavs.Vertex) -> None:
            kids = v.gather(k=(2, 3))
            v.scatter(k=v.pull("k", (2, 3)))
            far = np.arange(6.0)[None] * np.array([[0.1], [0.2]])
            y = ops.attention(v.pull("q", (2, 3)), kids.k, kids.k, position=self.places)
            v.push(y=y + ops.attention(self.query, kids.k, kids.k, position=far))

    batch = cavs.batch([dag(12, 6, 4), window(9, 5)])
    results = []
    for executor in ("native", "reference"):
        function = Learned()
        model = cavs.compile(function, dtype="float64", executor=executor)
        x = drawn(model, batch)
        t = {name: cavs.tensor(a, requires_grad=True) for name, a in x.items()}
        (model(batch, **t)["y"] ** 2).sum().backward()
        gradients = {name: np.asarray(a.grad) for name, a in t.items()}
        results.append({**gradients, "p": function.places.grad, "w": function.query.grad})
    compare(*results, 1e-12)


def test_second_derivatives() -> None:
    batch = cavs.batch([dag(8, 4, 5), window(6, 4)])
    model = cavs.compile(Heads(2, 3, 2, 5, (2,)), dtype="float64")
    x = drawn(model, batch)
    rng = np.random.default_rng(2)
    weights = {name: rng.normal(size=a.shape) for name, a in x.items()}
    d = rng.normal(size=(batch.num_vertices, 2, 2))

    def slopes(arrays: Arrays) -> tuple[list[Any], list[Any]]:
        t = [cavs.tensor(a, requires_grad=True) for a in arrays.values()]
        y = model(batch, **dict(zip(arrays, t, strict=True)))["y"]
        return t, cavs.grad((y * d).sum(), t, create_graph=True)

    def weighed(arrays: Arrays) -> float:
        found = slopes(arrays)[1]
        parts = zip(found, weights.values(), strict=True)
        return sum(float((g.numpy() * w).sum()) for g, w in parts)

    t, first = slopes(x)
    total = cavs.tensor(np.zeros(()))
    for slope, w in zip(first, weights.values(), strict=True):
        total = total + (slope * w).sum()
    for name, second in zip(x, cavs.grad(total, t), strict=True):
        direction = rng.normal(size=x[name].shape)
        step = 1e-5
        ends = [weighed({**x, name: x[name] + s * step * direction}) for s in (1, -1)]
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float((second.numpy() * direction).sum()) == pytest.approx(
            expected, rel=1e-6, abs=1e-8
        )


class OfGraphs(cavs.VertexFunction):
    """Queries and scores by place of each graph; a layer above whose keys wait for nothing else."""

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(k=(2, 3), y=(2, 3))
        y = ops.attention(
            v.pull_graph("q", (2, 3)), kids.k, kids.k, position=v.pull_graph("places", (2, 7))
        )
        v.scatter(k=v.pull("k", (2, 3)), y=y)
        v.push(y=y, z=ops.attention(y, kids.y, kids.k, position=v.pull_graph("more", (2, 7))))


@pytest.mark.parametrize("passes", [None, ON_EDGES, ()])
def test_queries_and_position_scores_of_graphs(passes: Any) -> None:
    batch = cavs.batch([dag(12, 6, 4), window(9, 5), window(1, 1)])
    results = []
    for options in ({"passes": passes}, {"executor": "reference"}):
        model = cavs.compile(OfGraphs(), dtype="float64", **options)
        rng = np.random.default_rng(1)
        rows = {"vertex": batch.num_vertices, "graph": batch.num_graphs}
        shapes = {n: (rows[spec.space], *spec.shape) for n, spec in sorted(model.inputs.items())}
        t = {n: cavs.tensor(rng.normal(size=s), requires_grad=True) for n, s in shapes.items()}
        out = model(batch, **t)
        ((out["y"] ** 2).sum() + (out["z"] ** 2).sum()).backward()
        values = {name: y.numpy() for name, y in out.items()}
        results.append({**values, **{f"d{n}": np.asarray(a.grad) for n, a in t.items()}})
    compare(*results, 1e-12)


class OfIds(cavs.VertexFunction):
    """All of an attention's operands depend on ids alone, and its result on the children."""

    def __init__(self) -> None:
        self.table = cavs.Parameter(np.random.default_rng(0).normal(size=(5, 6)))

    def forward(self, v: cavs.Vertex) -> None:
        x = ops.embedding(self.table, v.pull("word", dtype="int32")).reshape(2, 3)
        kids = v.gather(x=(2, 3))
        v.scatter(x=ops.tanh(x))
        v.push(y=ops.attention(x, kids.x, kids.x))


@pytest.mark.parametrize("leaves", [True, False])
def test_of_ids_alone(leaves: bool) -> None:
    passes = [name for name in PASSES if leaves or name != "specialize_leaves"]
    batch = cavs.batch([dag(12, 6, 4), window(9, 5)])
    word = np.random.default_rng(3).integers(-1, 5, batch.num_vertices)
    results = []
    for options in ({"passes": passes}, {"executor": "reference"}):
        function = OfIds()
        y = cavs.compile(function, dtype="float64", **options)(batch, word=word)["y"]
        (y**2).sum().backward()
        grad: Any = function.table.grad
        dense = grad.to_dense() if isinstance(grad, cavs.RowSparse) else grad
        results.append({"y": y.numpy(), "table": np.asarray(dense)})
    compare(*results, 1e-12)


class PartOfAState(cavs.VertexFunction):
    """Keys are a part of a state; the result is a state that others sum."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.random.default_rng(0).normal(size=(4, 10)))

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(k=(2, 5), h=4)
        y = ops.attention(v.pull("q", (2, 1)), kids.k[:, 4:], kids.k)
        v.scatter(k=v.pull("k", (2, 5)), h=ops.tanh(ops.linear(y.reshape(10), self.w)))
        v.push(y=kids.h.sum())


@pytest.mark.parametrize("more", [(), ("hoist",), ("defer",), ("hoist", "defer")])
def test_rows_of_all_vertices_are_of_no_level_where_leaves_are_apart(more: Any) -> None:
    batch = cavs.batch([dag(12, 6, 4), window(9, 5)])
    results = []
    for passes in (("specialize_leaves", "fuse_attention", *more), ()):
        function = PartOfAState()
        model = cavs.compile(function, dtype="float64", passes=passes)
        rng = np.random.default_rng(2)
        shapes = {"q": (batch.num_vertices, 2, 1), "k": (batch.num_vertices, 2, 5)}
        t = {n: cavs.tensor(rng.normal(size=s), requires_grad=True) for n, s in shapes.items()}
        y = model(batch, **t)["y"]
        (y**2).sum().backward()
        found = {"y": y.numpy(), "w": function.w.grad}
        results.append({**found, **{n: np.asarray(a.grad) for n, a in t.items()}})
    compare(*results, 1e-12)


# --- Errors ---------------------------------------------------------------------------------------


def refused(make: Any) -> str:
    class Wrong(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x, kids = v.pull("x", (2, 3)), v.gather(k=(2, 3))
            v.scatter(k=x)
            v.push(y=make(v, x, kids.k))

    with pytest.raises(cavs.CavsError) as caught:
        cavs.compile(Wrong())
    return str(caught.value)


def test_errors_say_what_does_not_fit() -> None:
    attention = ops.attention
    assert "expected a value per child as k, got one per vertex" in refused(
        lambda v, x, k: attention(x, x, k)
    )
    assert "expected a value per child as v, got one per vertex" in refused(
        lambda v, x, k: attention(x, k, v.gather(0, k=(2, 3)).k)
    )
    assert "expected a value per vertex as q, got one per child" in refused(
        lambda v, x, k: attention(k, k, k)
    )
    assert "expected q and k of (heads, s) and v of (heads, sv), got (2, 3), (3, 2) and (2, 3)" in (
        refused(lambda v, x, k: attention(x, k.reshape(3, 2), k))
    )
    assert "expected a bias of shape () or (2,), got (3,)" in refused(
        lambda v, x, k: attention(x, k, k, bias=v.pull_edge("b", 3))
    )
    assert "; pull it by v.pull_edge(...)" in refused(
        lambda v, x, k: attention(x, k, k, bias=v.pull("b"))
    )
    assert "; pull a number for each child by v.pull_edge(...), or leave out edges" in refused(
        lambda v, x, k: attention(x, k, k, bias=np.zeros((3, 3)))
    )
    assert "expected position of (2, places), got (3,)" in refused(
        lambda v, x, k: attention(x, k, k, position=v.pull("p", 3))
    )
    assert "expected a probability in [0, 1), got 1.0" in refused(
        lambda v, x, k: attention(x, k, k, dropout=1.0)
    )
    assert "expected a value of a vertex function as k, got" in refused(
        lambda v, x, k: attention(x, np.ones((2, 3)), k)
    )
    for given in ((None, True, True), (True, None, True), (True, True, None)):
        name = "qkv"[given.index(None)]
        assert f"expected a value of a vertex function as {name}, got None" in refused(
            lambda v, x, k, given=given: attention(
                *(None if g is None else a for g, a in zip(given, (x, k, k), strict=True))
            )
        )
    assert "expected floats as bias, got int32" in refused(
        lambda v, x, k: attention(x, k, k, bias=v.pull_edge("b", dtype="int32"))
    )
    assert "expected a finite scale, got True" in refused(
        lambda v, x, k: attention(x, k, k, scale=True)
    )
    assert "expected position of (2, places), got (1, 4)" in refused(
        lambda v, x, k: attention(x, k, k, position=np.ones((1, 4)))
    )


def test_more_children_than_places_are_refused() -> None:
    model = cavs.compile(Heads(1, 2, 2, 3))
    batch = cavs.batch([window(3, 2), window(6, 5)])
    x = {name: a.astype(np.float32) for name, a in drawn(model, batch).items()}
    expected = r"\[graph\] graph 1, vertex 4: expected at most 3 children.*attention.py.*, got 4;"
    with pytest.raises(cavs.GraphError, match=expected):
        model(batch, **x)
