"""Values without rows, and reductions over graphs and batches: native against the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import Result, assert_same, draw_inputs, run, some_graphs
from strategies import batches
from vertex_functions.rowless import ROWLESS

import cavs
from cavs import nn, ops
from cavs.core.passes import PASSES
from cavs.errors import DTypeError, InputError, ShapeError, TraceError

GRAPHS = some_graphs()
WITHOUT_PHASES = tuple(p for p in PASSES if p not in ("hoist", "defer"))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


def make(name: str, **options: Any) -> cavs.Model:
    nn.init.manual_seed(sum(map(ord, name)))
    return cavs.compile(ROWLESS[name](), dtype="float64", seed=3, **options)


def inputs_of(model: cavs.Model, graphs: cavs.GraphBatch, seed: int = 0) -> dict[str, Any]:
    return draw_inputs(model, graphs, seed)


def results(name: str, graphs: cavs.GraphBatch, seed: int = 0, **options: Any) -> Result:
    model = make(name, **options)
    return run(model, graphs, inputs_of(model, graphs, seed))


@pytest.mark.parametrize("name", ROWLESS)
def test_native_is_the_oracle(name: str) -> None:
    assert_same(results(name, GRAPHS), results(name, GRAPHS, executor="reference"))


@pytest.mark.parametrize("name", ROWLESS)
@pytest.mark.parametrize(
    "passes",
    [(), WITHOUT_PHASES, *(tuple(p for p in PASSES if p != name) for name in PASSES)],
    ids=lambda passes: "-".join(sorted(set(PASSES) - set(passes)))[:40] or "all",
)
def test_passes_change_nothing(name: str, passes: tuple[str, ...]) -> None:
    assert_same(results(name, GRAPHS, passes=passes), results(name, GRAPHS))


@pytest.mark.parametrize("name", ROWLESS)
@pytest.mark.parametrize("policy", ["depth", "serial"])
def test_threads_and_policies_change_nothing(name: str, policy: str) -> None:
    graphs = cavs.batch(cavs.unbatch(GRAPHS) * 8)
    cavs.set_num_threads(1)
    one = results(name, graphs)
    for threads in (2, 4):
        cavs.set_num_threads(threads)
        assert_same(results(name, graphs, policy=policy), one)


@pytest.mark.parametrize("name", ROWLESS)
@given(batches(), st.integers(0, 9))
@settings(max_examples=15)
def test_any_graphs(name: str, graphs: cavs.GraphBatch, seed: int) -> None:
    native = results(name, graphs, seed)
    assert_same(native, results(name, graphs, seed, executor="reference"))


@pytest.mark.parametrize("name", ROWLESS)
def test_gradients_are_central_differences(name: str) -> None:
    model = make(name)
    inputs = inputs_of(model, GRAPHS)
    buffers = [(buffer, buffer.numpy().copy()) for _, buffer in model.named_buffers()]
    found = run(model, GRAPHS, inputs)
    rng = np.random.default_rng(1)

    def loss() -> float:
        for buffer, values in buffers:  # each call writes to some
            buffer.copy_in(values)
        model.set_random_state({"seed": 3, "step": 7})
        out = model(GRAPHS, **inputs)
        draws = np.random.default_rng(1000)
        return sum(
            float((draws.normal(size=y.shape) * y.numpy()).sum()) for _, y in sorted(out.items())
        )

    for path, parameter in model.named_parameters():
        values = parameter.data
        for _ in range(3):
            place = tuple(int(rng.integers(n)) for n in values.shape)
            kept, ends = values[place], []
            for step in (1e-5, -1e-5):
                values[place] = kept + step
                ends.append(loss())
            values[place] = kept
            slope = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(found.params[path][place], slope, 1e-5, 1e-6, err_msg=path)
    for name_of_input, x in inputs.items():
        if x.dtype.kind != "f":
            continue
        place = tuple(int(rng.integers(n)) for n in x.shape)
        kept, ends = x[place], []
        for step in (1e-5, -1e-5):
            x[place] = kept + step
            ends.append(loss())
        x[place] = kept
        slope = (ends[0] - ends[1]) / 2e-5
        got = found.inputs[name_of_input][place]
        np.testing.assert_allclose(got, slope, 1e-5, 1e-6, err_msg=name_of_input)


def test_batch_norm_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    model = make("Normed")
    inputs = inputs_of(model, GRAPHS)
    found = run(model, GRAPHS, inputs)
    function: Any = model.function
    weights = {
        name: torch.tensor(p.numpy(), requires_grad=True) for name, p in model.named_parameters()
    }
    x = torch.tensor(inputs["x"], requires_grad=True)

    def norm(h: Any, weight: Any) -> Any:
        centred = h - h.mean(0)
        return centred * torch.rsqrt(centred.square().mean(0) + 1e-3) * weight

    graph = torch.tensor(GRAPHS.graph_of_vertex.astype(np.int64))
    sizes = torch.tensor(np.diff(GRAPHS.ptr).astype(np.float64)).clamp(min=1)[:, None]

    def graph_sum(h: Any) -> Any:
        zeros = torch.zeros(GRAPHS.num_graphs, h.shape[1], dtype=h.dtype)
        return zeros.index_add(0, graph, h)

    h = norm(x @ weights["w.weight"].T + weights["w.bias"], weights["before"])
    h = h + 0.1 * graph_sum(h)[graph] - (graph_sum(h) / sizes)[graph]
    rows: list[Any] = [None] * GRAPHS.num_vertices
    ptr, children = GRAPHS.child_ptr, GRAPHS.children

    def state(v: int) -> Any:
        if rows[v] is None:
            own = [state(int(c)) for c in children[ptr[v] : ptr[v + 1]]]
            total = sum(own, torch.zeros(4, dtype=torch.float64))
            rows[v] = torch.tanh(h[v] + weights["u.weight"] @ total)
        return rows[v]

    s = torch.stack([state(v) for v in range(GRAPHS.num_vertices)])
    y = norm(s, weights["after"]) * (graph_sum(s) / sizes)[graph]
    y = y + torch.sigmoid(graph_sum(s))[graph]
    outputs = {"h": s, "y": y, "logits": y @ weights["out.weight"].T + weights["out.bias"]}
    draws = np.random.default_rng(1000)
    loss = sum(
        (torch.tensor(draws.normal(size=tuple(o.shape))) * o).sum()
        for _, o in sorted(outputs.items())
    )
    loss.backward()
    for name, y_ in outputs.items():
        np.testing.assert_allclose(found.outputs[name], y_.detach().numpy(), 1e-10, 1e-10)
    for name, weight in weights.items():
        np.testing.assert_allclose(found.params[name], weight.grad.numpy(), 1e-10, 1e-9)
    np.testing.assert_allclose(found.inputs["x"], x.grad.numpy(), 1e-10, 1e-10)
    assert function is model.function


class TestArrays:
    def model(self, **options: Any) -> cavs.Model:
        return cavs.compile(ROWLESS["Arrays"](), **options)

    def test_arrays_are_no_parameters(self) -> None:
        model = self.model()
        assert {name for name, _ in model.named_parameters()} == {"w.weight", "w.bias", "u"}
        assert [name for name, _ in model.named_buffers()] == ["centre"]
        assert set(model.state_dict()) == {"w.weight", "w.bias", "u", "centre"}
        assert all(p.requires_grad for p in model.parameters())

    def test_arrays_are_copied_and_keep_their_precision(self) -> None:
        third = np.array([1 / 3])

        class Third(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                v.push(y=v.pull("x") * third)

        model = cavs.compile(Third())
        graph = cavs.InputGraph([[]])
        third[0] = 7.0
        assert model(graph, x=np.ones(1, np.float32))["y"].item() == np.float32(1 / 3)
        model.to("float64")
        assert model(graph, x=np.ones(1))["y"].item() == 1 / 3

    def test_equal_arrays_are_one(self) -> None:
        class Twice(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                x = v.pull("x", 2)
                v.push(y=x * np.array([1.0, 2.0]) + np.array([1.0, 2.0]) * np.array([3.0, 4.0]))

        assert len(cavs.compile(Twice())._compiler.params) == 2

    def test_constant_begins_with_an_array(self) -> None:
        class Begun(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                v.push(y=ops.exp(ops.constant([[0.0, 1.0]])) + v.pull("x"))

        model = cavs.compile(Begun(), dtype="float64")
        y = model(cavs.InputGraph([[]]), x=np.zeros(1))["y"].numpy()
        np.testing.assert_allclose(y, np.exp([[[0.0, 1.0]]]))
        outside = ops.constant(np.arange(3))
        assert isinstance(outside, cavs.Tensor)
        assert outside.numpy().tolist() == [0, 1, 2]

    def test_nan_is_said_once(self) -> None:
        class NaN(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                for _ in range(2):
                    v.push(**{f"y{_}": v.pull("x") + np.array(np.nan)})

        with pytest.warns(UserWarning, match=r"\[add\] expected numbers, got an array with NaN"):
            cavs.compile(NaN())

    @pytest.mark.parametrize(
        ("array", "kind", "message"),
        [
            (np.array([None]), DTypeError, "expected an array of real numbers, got 'object'"),
            (np.array(["a"]), DTypeError, "expected an array of real numbers, got 'str"),
            (np.array([1j]), DTypeError, "expected an array of real numbers, got 'complex128'"),
            (np.zeros(3), ShapeError, "3"),
            ([1.0, 2.0], TraceError, "expected a vertex value, a parameter, an array or a number"),
        ],
    )
    def test_other_arrays_are_refused(self, array: Any, kind: type, message: str) -> None:
        class Bad(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                v.push(y=ops.maximum(v.pull("x", 2), array))

        with pytest.raises(kind, match=message) as caught:
            cavs.compile(Bad())
        assert "test_rowless.py" in str(caught.value)


class TestReductions:
    @pytest.mark.parametrize("reduce", ["batch_mean", "graph_sum", "graph_max"])
    def test_a_state_cannot_depend_on_a_reduction_of_itself(self, reduce: str) -> None:
        class Circle(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                s = v.pull("x", 3) + v.gather(s=3).s.sum()
                s = s - getattr(s, reduce)()
                v.scatter(s=s)
                v.push(y=s)

        with pytest.raises(
            TraceError, match=r"\[scatter\] expected state 's' to depend on no red"
        ) as e:
            cavs.compile(Circle())
        assert "getattr(s, reduce)()" in str(e.value)

    def test_what_has_no_rows_is_refused(self) -> None:
        class Bad(cavs.VertexFunction):
            def __init__(self, name: str, space: str) -> None:
                self.w = cavs.Parameter(np.ones(2, np.float32))
                self.name, self.space = name, space

            def forward(self, v: cavs.Vertex) -> None:
                x = self.w * 1.0 if self.space == "none" else v.pull_graph("t", 2)
                v.push(y=getattr(x, self.name)())

        for name, space in (("batch_sum", "none"), ("graph_sum", "none"), ("graph_mean", "graph")):
            with pytest.raises(
                ShapeError, match=rf"\[{name.replace('mean', 'sum')}\] expected a value per"
            ):
                cavs.compile(Bad(name, space))

    def test_graphs_do_not_meet_in_sums_over_graphs(self) -> None:
        model = make("OfGraphs")
        inputs = inputs_of(model, GRAPHS)
        whole = model(GRAPHS, **inputs)["y"].numpy()
        for number, graph in enumerate(cavs.unbatch(GRAPHS)):
            rows = slice(GRAPHS.ptr[number], GRAPHS.ptr[number + 1])
            own = {name: x[rows] for name, x in inputs.items()}
            np.testing.assert_array_equal(model(graph, **own)["y"].numpy(), whole[rows])


class Refused(cavs.VertexFunction):
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 2)
        v.push(y=x - x.batch_mean() if self.kind == "sum" else x * v.pull_batch("factor"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "sum",
            "expected a function without reductions over graphs and batches, .* got reduce_rows",
        ),
        ("input", "expected inputs of vertices, edges and graphs, got 'factor' of the batch"),
    ],
)
def test_graphs_that_grow_refuse_what_is_of_all_vertices(kind: str, message: str) -> None:
    model = cavs.compile(Refused(kind))
    roots = cavs.Growth([[]], {"x": np.zeros((1, 2), np.float32)}, graph=[0])
    with pytest.raises(InputError, match=rf"\[unfold\] {message}"):
        cavs.unfold(model, roots, lambda frontier: None, num_graphs=1)


def test_inputs_of_the_batch_have_no_rows() -> None:
    model = cavs.compile(Refused("input"))
    graph, x = cavs.InputGraph([[], [0]]), np.ones((2, 2), np.float32)
    assert model(graph, x=x, factor=np.float32(3))["y"].numpy().tolist() == [[3, 3], [3, 3]]
    assert model(graph, x=x, factor=np.array(3.0))["y"].numpy().tolist() == [[3, 3], [3, 3]]
    with pytest.raises(
        ShapeError, match=r"'factor', got shape \(2,\).*; give one array of shape \(\)"
    ):
        model(graph, x=x, factor=np.ones(2, np.float32))
    factor = cavs.Tensor(np.float32(2), requires_grad=True)
    model(graph, x=x, factor=factor)["y"].sum().backward()
    assert factor.grad.shape == ()
    assert float(factor.grad) == 4


class Each(cavs.VertexFunction):
    """Of one type: a sum over its vertices."""

    def __init__(self, other: str) -> None:
        self.w, self.other = nn.Linear(3, 3, dtype="float64"), other

    def forward(self, v: cavs.Vertex) -> None:
        x = self.w(v.pull("x", 3)) * v.pull_batch("factor")
        x = x - x.batch_mean() + x.graph_sum()
        h = ops.tanh(x + v.gather(h=3, of=self.other).h.sum())
        v.scatter(h=h)
        v.push(h=h * h.batch_mean(), top=h.graph_max())


def test_types_add_up_their_own_vertices() -> None:
    graphs = cavs.batch(
        [
            cavs.InputGraph([[], [0], [1], []], types=["a", "b", "a", "b"]),
            cavs.InputGraph([[], [0]], types=["b", "a"]),
            cavs.InputGraph([[]], types=["a"]),
        ]
    )
    found = []
    for executor in ("native", "reference"):
        nn.init.manual_seed(4)
        function = cavs.TypedFunction({"a": Each("b"), "b": Each("a")})
        model = cavs.compile(function, dtype="float64", executor=executor)
        rng = np.random.default_rng(2)
        inputs = {"x": rng.normal(size=(7, 3)), "factor": np.array(1.5)}
        found.append(run(model, graphs, inputs))
    assert_same(*found)


class TestBuffers:
    class Counted(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Linear(2, 2)
            self.register_buffer("mean", np.array([1.0, 2.0], np.float32))

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.w(v.pull("x", 2)) - self.mean)

    def test_buffers_are_kept_and_do_not_learn(self) -> None:
        function = self.Counted()
        model = cavs.compile(function)
        graph, x = cavs.InputGraph([[]]), np.zeros((1, 2), np.float32)
        optimizer = cavs.optim.SGD(model.parameters(), lr=1.0)
        before = function.mean.numpy().copy()
        model(graph, x=x)["y"].sum().backward()
        optimizer.step()
        np.testing.assert_array_equal(function.mean.numpy(), before)
        assert function.mean.grad is None
        assert not function.mean.requires_grad
        first = model(graph, x=x)["y"].numpy().copy()
        function.mean.data[...] += 1
        np.testing.assert_allclose(model(graph, x=x)["y"].numpy(), first - 1, rtol=1e-6)
        state = {name: values.copy() for name, values in model.state_dict().items()}
        other = cavs.compile(self.Counted())
        other.load_state_dict(state)
        np.testing.assert_array_equal(other.function.mean.numpy(), function.mean.numpy())

    def test_buffers_take_the_models_dtype(self) -> None:
        function = self.Counted()
        model = cavs.compile(function, dtype="float64")
        assert function.mean.dtype == np.float64
        model.to("float32")
        assert function.mean.dtype == np.float32

    def test_bad_buffers_are_refused(self) -> None:
        function = self.Counted()
        with pytest.raises(InputError, match="got 'mean', which Counted has already"):
            function.register_buffer("mean", np.zeros(2))
        with pytest.raises(InputError, match="expected the name of an attribute, got 'a b'"):
            function.register_buffer("a b", np.zeros(2))
        with pytest.raises(InputError, match="no gradient reaches a buffer"):
            function.mean.requires_grad = True


def test_all_pairs_of_passes_off() -> None:
    expected = results("Normed", GRAPHS)
    for pair in combinations(PASSES, 2):
        passes = tuple(p for p in PASSES if p not in pair)
        assert_same(results("Normed", GRAPHS, passes=passes), expected)


def test_graphs_grow_by_the_running_averages_of_evaluation() -> None:
    class Normed(cavs.VertexFunction):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm(2)

        def forward(self, v: cavs.Vertex) -> None:
            h = self.norm(v.pull("x", 2)) + v.gather(h=2).h.sum()
            v.scatter(h=h)
            v.push(h=h)

    model = cavs.compile(Normed())
    roots = cavs.Growth([[]], {"x": np.full((1, 2), 3, np.float32)}, graph=[0])

    def grown() -> cavs.Unfolded:
        levels = iter([cavs.Growth([[0]], {"x": np.ones((1, 2), np.float32)}, graph=[0])])
        return cavs.unfold(model, roots, lambda frontier: next(levels, None), num_graphs=1)

    with pytest.raises(InputError, match=r"or call model\.eval\(\) if evaluation has none"):
        grown()
    model.eval()
    found = grown()
    np.testing.assert_allclose(found.outputs["h"], [[3, 3], [4, 4]], rtol=1e-4)
    np.testing.assert_array_equal(model.replay(found)["h"].numpy(), found.outputs["h"])
    model.train()
    with pytest.raises(InputError, match="without reductions"):
        grown()
