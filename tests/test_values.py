"""Values of a vertex, line by line, against what calls give and against NumPy."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_inputs
from strategies import batches
from vertex_functions import FUNCTIONS

import cavs
from cavs import nn, ops
from cavs.errors import CavsRuntimeError, InputError, NonFiniteError

GRAPHS = [cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[], [], [0, 1]])]
WORD = np.int32([1, 2, -1, 3, 4, 0])


class Cell(cavs.VertexFunction):
    """Reads words, a number by edge and one by graph; drops out."""

    def __init__(self) -> None:
        nn.init.manual_seed(5)
        self.embedding = nn.Embedding(9, 4)
        self.u = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        below = v.gather(h=4).h * v.pull_edge("weight")
        unused = ops.exp(x)  # noqa: F841
        z = x + self.u(below.sum())
        h = ops.dropout(ops.tanh(z), 0.5)
        v.scatter(h=h)
        v.push(h=h, y=ops.log(ops.sum(h) * v.pull_graph("factor")))


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "word": WORD,
        "weight": np.arange(1.0, 5.0),
        "factor": np.array([1.0, 2.0]),
    } | changes


def line_of(text: str) -> str:
    lines, first = inspect.getsourcelines(Cell)
    (number,) = [n for n, line in enumerate(lines, first) if text in line]
    return f"{inspect.getsourcefile(Cell)}:{number}"


def test_lines_come_in_order_with_their_values() -> None:
    model = cavs.compile(Cell(), dtype="float64").eval()
    values = model.values(GRAPHS, vertex=(1, 2), **inputs())
    parameters = {name: p.data for name, p in model.named_parameters()}

    def below(word: int) -> Any:
        return np.tanh(parameters["embedding.weight"][word] + parameters["u.bias"])

    children = np.stack([below(3), below(4)])
    weighted = children * np.array([[3.0], [4.0]])
    x, total = parameters["embedding.weight"][0], weighted.sum(axis=0)
    z = x + parameters["u.weight"] @ total + parameters["u.bias"]
    with np.errstate(invalid="ignore"):
        y = np.log(np.tanh(z).sum() * 2)
    expected = {
        ("embedding(v.pull", "pull", "word"): np.int32(0),
        ("embedding(v.pull", "param", "embedding.weight"): parameters["embedding.weight"],
        ("embedding(v.pull", "embedding", ""): x,
        ("v.gather(h=4)", "gather", "h"): children,
        ("v.gather(h=4)", "pull", "weight"): np.array([3.0, 4.0]),
        ("v.gather(h=4)", "mul", ""): weighted,
        ("self.u(below", "segment_sum", ""): total,
        ("self.u(below", "add", ""): z,
        ("ops.tanh(z)", "tanh", ""): np.tanh(z),
        ("v.push", "pull", "factor"): np.float64(2.0),
        ("v.push", "log", ""): y,
    }
    for (text, op, name), value in expected.items():
        where = line_of(text)
        found = [x for x in values if (x.where, x.op, x.name) == (where, op, name)]
        assert all(text in x.text for x in found)
        last = found[-1].value  # of several of one line, such as sums
        assert last.shape == np.shape(value)
        np.testing.assert_allclose(last, value, rtol=1e-12)
    assert [x.where for x in values] == sorted(
        (x.where for x in values), key=lambda where: int(where.rsplit(":", 1)[1])
    )
    assert values.children == (0, 1)
    assert not [x for x in values if x.op == "exp"]
    assert not [x for x in values if x.op == "dropout"]  # of training alone
    (state,) = [x for x in values if x.op == "tanh"]
    assert state.used_as == ("scatter h", "push h")
    assert state.space == "vertex"
    values = model.train().values(GRAPHS, vertex=(1, 2), **inputs())
    (dropped,) = [x for x in values if x.op == "dropout"]
    assert dropped.used_as == ("scatter h", "push h")
    assert [x.space for x in values if x.op == "gather"] == ["edge"]


def test_outputs_that_are_not_asked_for_need_no_inputs() -> None:
    model = cavs.compile(Cell(), dtype="float64")
    given = inputs()
    del given["factor"]
    values = model.values(GRAPHS, vertex=(1, 2), outputs=["h"], **given)
    whole = model.values(GRAPHS, vertex=(1, 2), **inputs())
    assert [use for x in values for use in x.used_as] == ["scatter h", "push h"]
    for x in values:
        (same,) = [y for y in whole if y[:6] == x[:6] and np.array_equal(x.value, y.value)][:1]
        assert same.where == x.where
    with pytest.raises(InputError, match=r"among \['h', 'y'\]"):
        model.values(GRAPHS, vertex=(1, 2), outputs=["z"], **inputs())


def test_missing_children_have_no_row() -> None:
    class Binary(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            below = v.gather(h=1).h
            right = v.gather(1, h=1).h
            h = v.pull("x", 1) + below.sum() * 2.0 + right
            v.scatter(h=h)
            v.push(h=h)

    graph = cavs.InputGraph([[], [-1, 0]])
    values = cavs.compile(Binary()).values(graph, vertex=(0, 1), x=np.float32([[3], [5]]))
    gathered = [x.value.tolist() for x in values if x.op == "gather"]
    assert gathered == [[[3]], [3]]
    assert values.children == (0,)


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    graphs=batches(min_size=1),
    training=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_is_pushed_is_what_a_call_gives(
    name: str, graphs: cavs.GraphBatch, training: bool, seed: int
) -> None:
    model = compiled(name)
    rng = np.random.default_rng(seed)
    sizes = np.diff(graphs.ptr)
    if not sizes.any():
        return
    graph = int(rng.choice(np.flatnonzero(sizes)))
    vertex = int(rng.integers(sizes[graph]))
    given = draw_inputs(model, graphs, seed)
    try:
        model.train() if training else model.eval()
        state = {"seed": 3, "step": seed}
        model.set_random_state(state)
        values = model.values(graphs, vertex=(graph, vertex), **given)
        assert model.random_state() == state
        out = model(graphs, **given)
    finally:
        model.train()
    pushed = {use[5:]: x for x in values for use in x.used_as if use.startswith("push ")}
    assert pushed.keys() == out.keys()
    v = int(graphs.ptr[graph]) + vertex
    for key, y in out.items():
        x, rows = pushed[key], y.data
        if x.space == "edge":
            row = rows[graphs.child_ptr[v] : graphs.child_ptr[v + 1]]
        else:
            row = rows[graph if x.space == "graph" else v]
        assert x.value.shape == row.shape
        np.testing.assert_allclose(x.value, row, rtol=1e-8, atol=1e-10, err_msg=key)
    lines = str(values).splitlines()
    assert lines[0].startswith(f"graph {graph}, vertex {vertex}: ")
    assert sum(line.startswith("  ") for line in lines) == len(values)
    assert max(map(len, lines)) < 400


def test_large_arrays_are_abbreviated() -> None:
    class Wide(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table = nn.Embedding(1000, 300)

        def forward(self, v: cavs.Vertex) -> None:
            x = self.table(v.pull("word", dtype="int32"))
            v.push(y=ops.log(x), few=ops.log(x[:2]))

    values = cavs.compile(Wide()).values(GRAPHS, vertex=(0, 1), word=WORD)
    text = str(values)
    assert len(text) < 3000
    (row,) = [line for line in text.splitlines() if line.startswith("  log (push y)")]
    negative = int((values[2].value < 0).sum())
    assert f"{negative} NaN" in row
    assert "[300]" in row
    assert "..." in row
    assert "[1000, 300]" in text
    assert repr(values) == f"<VertexValues of graph 0, vertex 1: {len(values)} values>"
    assert values[1:3] == tuple(values)[1:3]


def failing(run: Any) -> NonFiniteError:
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        run()
    assert "; values() of this error shows all lines there" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("how", ["call", "no_grad", "step", "program"])
def test_an_error_has_the_values_of_the_call_that_failed(how: str) -> None:
    if how == "program":
        made = cavs.compile(cavs.VertexProgram({"up": Cell()}))
        model = made["up"]
    else:
        model = cavs.compile(Cell())
    given = inputs(factor=np.array([1e-30, -2.0]), weight=np.float32([1, 2, 3, 4]))
    state = model.random_state()

    def run() -> None:
        if how == "step":
            model.step(GRAPHS, cavs.optim.SGD(model.parameters(), 0.1), loss="y", **given)
        elif how == "no_grad":
            with cavs.no_grad():
                model(GRAPHS, **given)
        else:
            model(GRAPHS, **given)

    error = failing(run)
    values = error.values()
    (bad,) = [x for x in values if x.used_as == ("push y",)]
    assert bad.op == "log"
    assert np.isnan(bad.value)
    assert f"at {bad.where}" in str(error)
    assert values.place in str(error)
    graph, vertex = (int(word.strip(":,")) for word in values.place.split()[1::2])
    model.set_random_state(state)  # the masks are those of the call
    out = model(GRAPHS, **given)
    for number in range(3):
        other = error.values(number)
        (h,) = [x.value for x in other if "scatter h" in x.used_as]
        np.testing.assert_allclose(h, out["h"].data[3 * graph + number], rtol=1e-5)
        assert (str(other) == str(values)) == (number == vertex)
    for wrong in (3, -1, "0", 1.5):
        with pytest.raises(InputError, match=r"\[values\] expected an integer vertex in 0\.\.2"):
            error.values(wrong)  # type: ignore[arg-type]


class Root(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = cavs.Parameter(np.ones(1))

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 1) * self.w
        v.push(root=ops.sqrt(x), log=ops.log(x))


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_errors_of_backward_have_values(executor: str) -> None:
    model = cavs.compile(Root(), dtype="float64", executor=executor)
    x = np.ones((6, 1))
    x[4] = 0
    error = failing(lambda: model(GRAPHS, x=x)["root"].sum().backward())
    assert "gradient of parameter 'w'" in str(error)
    assert error.values().place == "graph 1, vertex 1"
    assert [v.value.item() for v in error.values() if v.op == "sqrt"] == [0]
    error = failing(lambda: model(GRAPHS, x=x)["log"].sum().backward())
    assert "backward from a finite value" in str(error)
    assert [v.value.item() for v in error.values() if v.op == "log"] == [-np.inf]
    assert [v.value.item() for v in error.values(0) if v.op == "log"] == [0]


def test_errors_of_a_graph_that_grows_have_values() -> None:
    class Step(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            total = v.pull("x", 1) + v.gather(s=1).s.sum()
            v.scatter(s=total)
            v.push(y=ops.log(total))

    model = cavs.compile(Step())

    def expand(frontier: cavs.Frontier) -> cavs.Growth:
        count = len(frontier.vertices)
        return cavs.Growth(frontier.vertices, {"x": np.full((count, 1), -2.0, np.float32)})

    roots = cavs.Growth([[], []], {"x": np.ones((2, 1), np.float32)}, graph=[0, 1])
    error = failing(lambda: cavs.unfold(model, roots, expand, num_graphs=2))
    (total,) = [x.value.item() for x in error.values() if "push y" in x.used_as]
    assert np.isnan(total)
    assert error.values().place in str(error)
    (total,) = [x.value.item() for x in error.values(0) if "push y" in x.used_as]
    assert total == 0  # of the root


def test_errors_without_a_vertex_say_so() -> None:
    x = cavs.tensor(np.zeros(2), requires_grad=True)
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        ops.log(x).sum().backward()
    assert "values()" not in str(caught.value)
    model = cavs.compile(Root(), dtype="float64")
    bad = failing(lambda: model(GRAPHS, x=-np.ones((6, 1))))
    for error in (caught.value, pickle.loads(pickle.dumps(bad)), copy.copy(bad)):
        assert isinstance(error, NonFiniteError)
        with pytest.raises(CavsRuntimeError, match="an error that comes from one vertex"):
            error.values()
    assert str(pickle.loads(pickle.dumps(bad))) == str(bad)


def test_wrong_vertices_and_inputs_are_refused() -> None:
    model = cavs.compile(Cell())
    with_empty = [*GRAPHS, cavs.InputGraph([])]
    given = inputs(factor=np.ones(3), weight=np.ones(4))
    for vertex, message in (
        (3, r"a pair \(graph, vertex\) as vertex, got 3"),
        ((0, 1, 2), "a pair"),
        ((3, 0), r"an integer graph in 0\.\.2, got 3"),
        ((0, 3), r"an integer vertex in 0\.\.2, got 3"),
        ((0, -1), r"an integer vertex in 0\.\.2, got -1"),
        ((2, 0), "got graph 2, which has none"),
    ):
        with pytest.raises(InputError, match=message):
            model.values(with_empty, vertex=vertex, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'weight', got none"):
        model.values(GRAPHS, vertex=(0, 0), word=WORD)
    with pytest.raises(InputError, match="graphs with a vertex, got none"):
        model.values([], vertex=(0, 0), word=WORD)
