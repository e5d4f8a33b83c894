"""Children by position from the last one back: values and gradients against loops over child lists,
in functions without types and of types, in graphs that grow, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import VertexFunction, ops
from cavs.core.passes import PASSES
from cavs.errors import GraphError

WITHOUT = [name for name in PASSES if name != "read_parents"]
CHILDREN = [[], [], [0], [-1, 1, -1], [0, 2], [4, -1, 3, 1], [5, 4, 3, 2]]


class Ends(VertexFunction):
    """The first child, the last and the one before it."""

    def forward(self, v: cavs.Vertex) -> None:
        first, last, before = (v.gather(k, h=2).h for k in (0, -1, -2))
        h = v.pull("x", 2) + 0.5 * first + 0.25 * last - 2.0 * before
        v.scatter(h=h)
        v.push(h=h)


class LastOnly(VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        last = v.gather(-1, h=2, g=2)
        h = v.pull("x", 2) + 0.5 * last.h * last.g
        v.scatter(h=h, g=ops.tanh(h))
        v.push(h=h)


def of_ends(children: list[list[int]], x: Any) -> Any:
    """The outputs of `Ends`, by a loop."""
    h = np.zeros_like(x)
    for v, own in enumerate(children):
        there = [c for c in own if c >= 0]
        h[v] = x[v]
        if own and own[0] >= 0:
            h[v] += 0.5 * h[own[0]]
        if there:
            h[v] += 0.25 * h[there[-1]]
        if len(there) > 1:
            h[v] -= 2.0 * h[there[-2]]
    return h


def gradient_of_ends(children: list[list[int]], dh: Any) -> Any:
    """The gradient of sum(dh * h) by x: the outputs are linear in x."""
    n = len(children)
    columns = [of_ends(children, np.eye(n)[:, [i]] * np.ones((1, 2))) for i in range(n)]
    return np.stack([(column * dh).sum(0) for column in columns])


@pytest.mark.parametrize("options", [{}, {"passes": WITHOUT}, {"policy": "serial"}])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_children_count_from_the_last_one_back(executor: str, options: dict[str, Any]) -> None:
    options = {"extra_children": "ignore", "dtype": "float64", **options}
    model = cavs.compile(Ends(), executor=executor, **options)
    draw = np.random.default_rng(0)
    graphs = cavs.batch([cavs.InputGraph(CHILDREN), cavs.InputGraph(CHILDREN[:5])])
    x = cavs.Tensor(draw.standard_normal((12, 2)), requires_grad=True)
    dh = draw.standard_normal((12, 2))
    h = model(graphs, x=x)["h"]
    (h * cavs.Tensor(dh)).sum().backward()
    for children, rows in ((CHILDREN, slice(0, 7)), (CHILDREN[:5], slice(7, 12))):
        np.testing.assert_allclose(h.numpy()[rows], of_ends(children, x.numpy()[rows]), rtol=1e-12)
        wanted = gradient_of_ends(children, dh[rows])
        np.testing.assert_allclose(np.asarray(x.grad)[rows], wanted, rtol=1e-12)


def test_the_gradient_of_the_last_child_is_read_from_its_parents() -> None:
    model = cavs.compile(LastOnly(), extra_children="ignore")
    text = str(model.program)
    assert "PARENT_ROWS:-1" in text.upper()
    assert "SLOTS_TO_EDGES" not in text.upper()


class Token(VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(-1, of="token", h=()).h
        v.scatter(h=v.pull("x") + 0.5 * before)
        v.push(y=before)


class Top(VertexFunction):
    """The last child, and the last but one that is a token."""

    def forward(self, v: cavs.Vertex) -> None:
        last, token = v.gather(-1, h=()).h, v.gather(-2, of="token", h=()).h
        v.scatter(h=2.0 * last + token)
        v.push(y=last, token=token)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_children_of_a_type_are_counted_among_these(executor: str) -> None:
    function = cavs.TypedFunction({"token": Token(), "top": Top()})
    model = cavs.compile(function, executor=executor, dtype="float64", extra_children="ignore")
    types = ["token", "token", "top", "token", "top"]
    graph = cavs.InputGraph([[], [0], [0, 1], [1, 2, 0], [3, 0, 1, 2]], types=types)
    x = cavs.Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    out = model(graph, x=x)
    h = [1.0, 2.5, 0.0, 3.5, 0.0]
    h[2] = 2.0 * h[1] + h[0]
    np.testing.assert_allclose(out["y"].numpy(), [0.0, h[0], h[1], h[0], h[2]], rtol=1e-14)
    np.testing.assert_allclose(out["token"].numpy(), [h[0], h[0]], rtol=1e-14)
    (out["y"].sum() + 10.0 * out["token"].sum()).backward()
    # y adds up h0 + h1 + h0 + h2, token 2 h0; h2 = 2 h1 + h0, h1 = x1 + h0 / 2.
    np.testing.assert_allclose(np.asarray(x.grad), [4.5 + 20.0, 3.0, 0.0], rtol=1e-14)


def test_of_types_the_last_child_alone_may_scatter_the_state() -> None:
    class Silent(VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.scatter(g=v.pull("x"))

    class Reader(VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.scatter(h=v.gather(-1, h=()).h + v.gather(0, of="silent", g=()).g)
            v.push(y=v.gather(-1, h=()).h)

    model = cavs.compile(cavs.TypedFunction({"silent": Silent(), "reader": Reader()}))
    types = ["silent", "reader", "reader"]
    good = cavs.InputGraph([[], [], [0, 1]], types=types)
    assert model(good, x=np.ones(1, np.float32))["y"].numpy().tolist() == [0.0, 0.0]
    bad = cavs.InputGraph([[], [], [0]], types=types)
    with pytest.raises(GraphError, match=r"vertex 2 .*children that scatter h.*got child 0"):
        model(bad, x=np.ones(1, np.float32))
    beyond = cavs.InputGraph([[], [], [], [1, 0, 2]], types=[*types[:2], "reader", "reader"])
    with pytest.raises(GraphError, match=r"children that its function gathers, .* at -1"):
        model(beyond, x=np.ones(1, np.float32))


def test_children_that_no_position_reaches_are_refused() -> None:
    model = cavs.compile(Ends())
    assert model.children_read == 3
    x = np.zeros((6, 2), np.float32)
    fits = [[], [], [], [0, 1, 2], [-1, -1, 0, 1], [0, -1, -1, 1, 2]]
    model(cavs.InputGraph(fits), x=x)
    for children, count in (([0, 1, 2, 0], 4), ([-1, 0, 1, 2], 4)):
        with pytest.raises(
            GraphError, match=rf"at most 3 children, .* the first 1 and the last 2 .*, got {count};"
        ):
            model(cavs.InputGraph([*fits[:5], children]), x=x)


def grown(model: Any, children: list[list[int]], x: Any) -> Any:
    """The graph vertex by vertex."""

    def next_vertex(frontier: cavs.Frontier) -> cavs.Growth | None:
        v = frontier.level + 1
        if v == len(children):
            return None
        return cavs.Growth([children[v]], {"x": x[v : v + 1]}, graph=[0])

    return cavs.unfold(model, cavs.Growth([[]], {"x": x[:1]}, graph=[0]), next_vertex, num_graphs=1)


def test_graphs_that_grow_count_from_the_last_child_too() -> None:
    model = cavs.compile(Ends(), dtype="float64")
    x = np.random.default_rng(1).standard_normal((6, 2))
    children = [[], [0], [0, 1], [-1, 2, 0], [2, 1, 3], [1, -1, 2, 4]]
    found = grown(model, children, x)
    np.testing.assert_allclose(found.outputs["h"], of_ends(children, x), rtol=1e-12)
    with pytest.raises(GraphError, match=r"at most 3 children, since F gathers the first 1 and"):
        grown(model, [*children[:5], [0, 1, 2, 3]], x)


@pytest.mark.gpu
@pytest.mark.parametrize("function", [Ends, LastOnly])
def test_the_gpu_counts_alike(function: Any) -> None:
    draw = np.random.default_rng(2)
    graphs = cavs.batch([cavs.InputGraph(CHILDREN)] * 2)
    x = draw.standard_normal((14, 2)).astype(np.float32)
    found = []
    for device in ("cpu", "cuda"):
        model = cavs.compile(function(), device=device, extra_children="ignore")
        given = cavs.Tensor(x, requires_grad=True)
        h = model(graphs, x=given)["h"]
        ops.square(h).sum().backward()
        found.append((h.to("cpu").numpy(), np.asarray(given.grad)))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5, atol=1e-6)
