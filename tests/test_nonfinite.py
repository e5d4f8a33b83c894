"""What `detect_nonfinite` finds in calls, steps and growing graphs, and where it says that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from model_runs import draw_inputs
from nonfinite_functions import GRAPHS, Formula, Sums, error_of, line_of, log, rows
from strategies import batches

import cavs
from cavs import ops, optim
from cavs.errors import NonFiniteError


def ratio(v: cavs.Vertex, x: Any) -> Any:
    over = x - 1.0
    return over / (x - 1.0)


def difference(v: cavs.Vertex, x: Any) -> Any:
    high = ops.exp(x * 1000.0)
    return high - high


def product(v: cavs.Vertex, x: Any) -> Any:
    high = ops.exp(x * 1000.0)
    return (x - 1.0) * high


def power(v: cavs.Vertex, x: Any) -> Any:
    return (x - 2.0) ** 0.5


FORMULAS: dict[str, tuple[Formula, str, dict[str, float], str, str]] = {
    # formula, text of its line, changes of x, where it is first, what it comes from
    "log of a negative": (log, "ops.log", {"v4": -9.0}, "graph 1, vertex 1", "log"),
    "0/0": (ratio, "over / ", {"v0": 2.0, "v1": 2.0, "v2": -3.0}, "graph 0, vertex 2", "div"),
    "inf - inf": (difference, "high - high", {}, "graph 0, vertex 0", "sub"),
    "0 * inf": (product, ") * high", {"v0": 2.0}, "graph 1, vertex 0", "mul"),
    "root of a negative": (
        power,
        "** 0.5",
        {"v0": 3.0, "v1": 0.0, "v2": -2.0},
        "graph 0, vertex 2",
        "sqrt",
    ),
}


@pytest.mark.parametrize("case", FORMULAS)
@pytest.mark.parametrize("options", [{}, {"passes": ()}, {"dtype": "float64"}])
@pytest.mark.parametrize("how", ["trained", "no_grad", "eval"])
def test_nan_in_an_output_is_named_with_its_graph_vertex_and_line(
    case: str, options: dict[str, Any], how: str
) -> None:
    formula, text, changes, where, op = FORMULAS[case]
    model = cavs.compile(Sums(formula), **options)
    if how == "eval":
        model.eval()
    x = rows(**changes).astype(model.dtype)

    def call() -> Any:
        if how == "no_grad":
            with cavs.no_grad():
                return model(GRAPHS, x=x)
        return model(GRAPHS, x=x)

    message = error_of(call)
    assert message.startswith(f"[nonfinite] expected no NaN, got one in output 'y' of {where};")
    assert f"the first comes from {op} at {line_of(formula, text)}" in message
    with np.errstate(all="ignore"):
        assert np.isnan(call()["y"].data).any()  # without looking, as ever


def test_the_line_where_infinity_began_is_named_too() -> None:
    message = error_of(lambda: cavs.compile(Sums(difference))(GRAPHS, x=rows()))
    assert f"whose operand is infinite since exp at {line_of(difference, 'ops.exp')}" in message


class Passed(cavs.VertexFunction):
    """NaN of a leaf comes to outputs of other vertices only."""

    def forward(self, v: cavs.Vertex) -> None:
        own = ops.log(v.pull("x", 3))
        below = v.gather(s=3).s.sum()
        v.scatter(s=own + below)
        v.push(y=below)


def test_the_vertex_of_the_output_and_the_vertex_it_comes_from() -> None:
    model = cavs.compile(Passed())
    message = error_of(lambda: model(GRAPHS, x=rows(v3=-1.0)))
    assert "got one in output 'y' of graph 1, vertex 2; the first comes from log of graph 1" in (
        message
    )
    assert "graph 1, vertex 0 at " in message


class Masked(cavs.VertexFunction):
    """What children scatter may be NaN and is not pushed."""

    def __init__(self, name: str = "x") -> None:
        self.name = name

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        v.scatter(s=ops.log(x))
        below = v.gather(s=3).s.sum()
        v.push(y=ops.where(ops.greater(x, 0.0), x, ops.maximum(below, 0.0) * 0.0))


@pytest.mark.parametrize("passes", [None, ()])
def test_nan_in_a_state_is_named(passes: Any) -> None:
    model = cavs.compile(Masked(), passes=passes)
    message = error_of(lambda: model(GRAPHS, x=rows(v4=-1.0)))
    assert "got one in state 's' of graph 1, vertex 1; the first comes from log at " in message


def masked_log(v: cavs.Vertex, x: Any) -> Any:
    return ops.where(ops.greater(x, 0.0), ops.log(x), 0.0)


def zero_logs(v: cavs.Vertex, x: Any) -> Any:
    return ops.log(ops.maximum(x, 0.0))  # -inf where nothing is there


def mask_of_minus_infinity(v: cavs.Vertex, x: Any) -> Any:
    return ops.softmax(ops.where(ops.greater(v.pull("mask", 3), 0.0), x, -np.inf))


@pytest.mark.parametrize("passes", [None, ()])
def test_infinities_and_nan_that_is_masked_are_right(passes: Any) -> None:
    with cavs.detect_nonfinite():
        out = cavs.compile(Sums(masked_log), passes=passes)(GRAPHS, x=rows(v4=-9.0))
        assert np.isfinite(out["y"].data).all()
        out = cavs.compile(Sums(zero_logs), passes=passes)(GRAPHS, x=rows(v4=-9.0))
        assert (out["y"].data == -np.inf).any()
        mask = np.tile(np.array([1, 0, 1], np.float32), (6, 1))
        model = cavs.compile(Sums(mask_of_minus_infinity), passes=passes)
        y = model(GRAPHS, x=rows(), mask=mask)["y"]
        assert (y.data[:, 1] == 0).all()
        y.sum().backward()


def test_what_is_nan_in_an_input_or_a_parameter_is_named() -> None:
    model = cavs.compile(Sums(lambda v, x: x * 2.0))
    x = rows()
    x[3, 1] = np.nan
    assert "got one in output 'y' of graph 1, vertex 0; input 'x' is nan" in error_of(
        lambda: model(GRAPHS, x=x)
    )
    model.function.w.data[1] = np.nan
    assert "graph 0, vertex 0; parameter 'w' is nan" in error_of(lambda: model(GRAPHS, x=rows()))


class Edges(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        v.scatter(s=x)
        v.push(e=ops.log(v.gather(s=3).s), y=x)


def test_an_output_of_edges_is_named_with_the_vertex_that_gathers() -> None:
    message = error_of(lambda: cavs.compile(Edges())(GRAPHS, x=rows(v4=-1.0)))
    assert "got one in output 'e' of graph 1, vertex 2; the first comes from log" in message


# Steps


def make(optimizer: str, model: cavs.Model) -> optim.Optimizer:
    made: optim.Optimizer = getattr(optim, optimizer)(model.named_parameters(), lr=0.1)
    return made


@pytest.mark.parametrize("optimizer", ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"])
@pytest.mark.parametrize(
    ("formula", "x", "words"),
    [
        (log, rows(v4=-9.0), "got one in output 'y' of graph 1, vertex 1; the first comes from"),
        (lambda v, x: ops.exp(x * 99.0), rows(), "output 'y' of graph 0, vertex 0 has it first"),
        (
            lambda v, x: ops.sqrt(ops.maximum(x, 0.0)),
            rows(v3=0.0),
            "expected a finite gradient of parameter 'w'",
        ),
    ],
)
def test_a_step_says_where_it_comes_from_and_changes_nothing(
    optimizer: str, formula: Formula, x: Any, words: str
) -> None:
    model = cavs.compile(Sums(formula))
    by = make(optimizer, model)
    before = {n: a.copy() for n, a in (model.state_dict() | by.state_dict()).items()}
    assert words in error_of(lambda: model.step(GRAPHS, by, loss="y", x=x))
    after = model.state_dict() | by.state_dict()
    assert {n: a.tobytes() for n, a in after.items()} == {n: a.tobytes() for n, a in before.items()}


class Dropped(Sums):
    def forward(self, v: cavs.Vertex) -> None:
        x = ops.dropout(v.pull("x", 3) * self.w, 0.5)
        v.push(y=ops.log(x + 1.0))


def test_random_numbers_are_the_same_when_it_is_computed_again() -> None:
    """Only vertices that were kept are below -1, and only these are named."""
    x = rows()
    x[:, :] = -5.0
    for seed in range(5):
        model = cavs.compile(Dropped(log), seed=seed)
        with np.errstate(all="ignore"):
            wrong = np.isnan(model(GRAPHS, x=x)["y"].data).any(axis=1)
        model = cavs.compile(Dropped(log), seed=seed)
        row = int(np.flatnonzero(wrong)[0])
        message = error_of(lambda: model(GRAPHS, x=x))  # noqa: B023
        assert f"of graph {row // 3}, vertex {row % 3};" in message


def test_a_step_draws_once() -> None:
    model = cavs.compile(Dropped(log), seed=1)
    by = make("SGD", model)
    error_of(lambda: model.step(GRAPHS, by, loss="y", x=rows() * -5.0))
    other = cavs.compile(Dropped(log), seed=1)
    with pytest.raises(NonFiniteError):
        other.step(GRAPHS, make("SGD", other), loss="y", x=rows() * -5.0)
    assert model.random_state() == other.random_state()


@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
@given(graphs=batches(max_size=3))
@settings(max_examples=5, deadline=None)
def test_looking_changes_no_bit_and_finds_nothing_where_nothing_is(
    name: str, graphs: cavs.GraphBatch
) -> None:
    results = []
    for enabled in (False, True):
        model = cavs.compile(
            vertex_functions.make_function(name), dtype="float64", seed=3, extra_children="ignore"
        )
        inputs = draw_inputs(model, graphs)
        found: list[Any] = []
        with cavs.detect_nonfinite(enabled), np.errstate(all="ignore"):
            try:
                outputs = model(graphs, **inputs)
                found += [y.data.tobytes() for y in outputs.values()]
                loss: Any = sum(y.sum() for y in outputs.values())
                if loss.requires_grad:
                    loss.backward()
                found += [as_bytes(p.grad) for p in model.parameters()]
            except NonFiniteError:
                assert enabled
                assert not finite(results[0])
                return
        results.append(found)
    assert results[0] == results[1]
    assert finite(results[0])


def as_bytes(grad: Any) -> bytes:
    if grad is None:
        return b""
    if isinstance(grad, cavs.RowSparse):
        grad = grad.values
    array: bytes = grad.tobytes()
    return array


def finite(arrays: list[bytes]) -> bool:
    """Whether no output is NaN and no gradient is not finite, of float64."""
    return all(np.isfinite(np.frombuffer(a, np.float64)).all() for a in arrays)


@pytest.mark.parametrize("threads", [1, 2])
def test_of_many_graphs_a_state_of_the_lowest_level_is_named(threads: int) -> None:
    rng = np.random.default_rng(0)
    graphs = []
    for _ in range(200):
        size = int(rng.integers(1, 40))
        graphs.append(cavs.InputGraph([[]] + [[int(rng.integers(0, v))] for v in range(1, size)]))
    batch = cavs.batch(graphs)
    levels = np.concatenate([graph.levels for graph in graphs])
    x = np.ones((batch.num_vertices, 3), np.float32)
    wrong = rng.choice(batch.num_vertices, 5, replace=False)
    x[wrong, 2] = np.nan
    lowest = wrong[levels[wrong] == levels[wrong].min()]
    owners = np.searchsorted(batch.ptr, lowest, side="right") - 1
    model = cavs.compile(Masked())
    before = cavs.get_num_threads()
    cavs.set_num_threads(threads)
    try:
        message = error_of(lambda: model(batch, x=x))
    finally:
        cavs.set_num_threads(before)
    assert any(
        f"got one in state 's' of graph {graph}, vertex {row - batch.ptr[graph]}; input 'x' is nan"
        in message
        for graph, row in zip(owners, lowest, strict=True)
    )


# Models that are not called by hand


class Growing(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x")
        total = x + v.gather(s=()).s.sum()
        v.scatter(s=total)
        # 0/0 of vertices whose states are known, which no one looks at.
        v.push(y=ops.log(total), z=x / x)


def test_unfold_names_the_vertex_of_the_graph() -> None:
    model = cavs.compile(Growing())

    def grow(value: float) -> cavs.Unfolded:
        def expand(frontier: cavs.Frontier) -> cavs.Growth | None:
            if frontier.level == 2:
                return None
            x = np.array([1.0, value if frontier.level == 1 else 1.0, 1.0], np.float32)
            return cavs.Growth([[int(v)] for v in frontier.vertices], {"x": x})

        roots = cavs.Growth([[], [], []], {"x": np.ones(3, np.float32)}, np.array([2, 0, 1]))
        return cavs.unfold(model, roots, expand, num_graphs=3)

    with cavs.detect_nonfinite():
        assert np.isfinite(grow(1.0).outputs["y"]).all()
    # The second of level 2 is the third vertex of graph 0.
    message = error_of(lambda: grow(-5.0))
    assert "got one in output 'y' of graph 0, vertex 2; the first comes from log at " in message


def test_a_program_of_several_functions() -> None:
    program = cavs.compile(
        cavs.VertexProgram({"first": Sums(lambda v, x: x - 1.0), "second": Sums(log)})
    )
    before = program["first"](GRAPHS, x=rows())["y"]
    message = error_of(lambda: program["second"](GRAPHS, x=before - 1.0)["y"].sum().backward())
    assert "got one in output 'y' of graph 0, vertex 0; the first comes from log at " in message


def test_off_it_is_as_ever() -> None:
    model = cavs.compile(Sums(ratio))
    by = make("SGD", model)
    y = model(GRAPHS, x=rows())["y"]
    assert np.isnan(y.data).any()
    y.sum().backward()
    by.step()
    assert np.isnan(model.function.w.data).any()
