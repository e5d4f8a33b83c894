"""`cavs.grad`: derivatives inside F, differentiated again, beside PyTorch; and of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_runs import assert_same, draw_inputs, run, some_graphs

import cavs
from cavs import nn, ops
from cavs.errors import CavsRuntimeError, InputError, ShapeError, TraceError

GRAPHS = some_graphs()
POINTS = cavs.batch([cavs.InputGraph([[]])] * 5)


class Critic(cavs.VertexFunction):
    """WGAN's critic with a gradient penalty (Gulrajani et al., 2017)."""

    def __init__(self, activation: Callable[[Any], Any]) -> None:
        self.layers = [nn.Linear(a, b, dtype="float64") for a, b in ((6, 5), (5, 4), (4, 1))]
        self.activation = activation

    def forward(self, v: cavs.Vertex) -> None:
        y = x = v.pull("x", 6)
        for layer in self.layers[:-1]:
            y = self.activation(layer(y))
        score = self.layers[-1](y)[0]
        (slope,) = cavs.grad(score, x)
        norm = ops.sqrt(ops.sum(ops.square(slope)) + 1e-12)
        v.push(loss=score + 10.0 * ops.square(norm - 1.0), slope=slope)


@pytest.mark.parametrize("name", ["tanh", "relu", "softplus", "sigmoid"])
def test_a_gradient_penalty_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(5)
    function = Critic(getattr(ops, name))
    model = cavs.compile(function, dtype="float64")
    given = np.random.default_rng(1).normal(size=(5, 6))
    x = cavs.Tensor(given, requires_grad=True)
    out = model(POINTS, x=x)
    out["loss"].sum().backward()
    tx = torch.tensor(given, requires_grad=True)
    weights = {
        path: torch.tensor(p.numpy().copy(), requires_grad=True)
        for path, p in function.named_parameters()
    }
    act = getattr(torch.nn.functional, name) if name != "tanh" else torch.tanh
    y = tx
    for layer in range(3):
        y = y @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"]
        y = act(y) if layer < 2 else y
    (slope,) = torch.autograd.grad(y.sum(), tx, create_graph=True)
    norm = torch.sqrt(slope.square().sum(1) + 1e-12)
    (y[:, 0] + 10 * (norm - 1).square()).sum().backward()
    np.testing.assert_allclose(out["slope"].numpy(), slope.detach().numpy(), 1e-12, 1e-13)
    np.testing.assert_allclose(x.grad, tx.grad.numpy(), 1e-11, 1e-12)
    for path, parameter in function.named_parameters():
        expected = weights[path].grad
        wanted = np.zeros(parameter.shape) if expected is None else expected.numpy()
        found = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad
        np.testing.assert_allclose(found, wanted, 1e-11, 1e-12, err_msg=path)


class Many(cavs.VertexFunction):
    """Derivatives of what many operations give, by vertices, edges, states and parameters."""

    def __init__(self) -> None:
        self.w, self.u = (nn.Linear(4, 4, dtype="float64") for _ in range(2))

    def forward(self, v: cavs.Vertex) -> None:
        x, gate = v.pull("x", 4), v.pull_edge("gate", 4)
        children = v.gather(h=4).h
        h = ops.tanh(
            self.w(x) + (self.u(children) * gate).sum() + (children * gate).softmax().sum()
        )
        v.scatter(h=h)
        y = ops.log_softmax(h) * ops.concat([x[1:], ops.exp(x[:1] * 0.1)]) + ops.tanh(x @ x)
        label = v.pull("label", dtype="int32")
        loss = ops.cross_entropy(h * 2.0, label)
        by_x, by_gate = cavs.grad([y, loss], [x, gate], [np.arange(4.0), 0.5])
        (by_state,) = cavs.grad(loss, children)
        (by_weight,) = cavs.grad(ops.sum(y), self.w.weight)
        v.push(by_x=by_x, edges=by_gate * by_state, by_weight=by_weight * 0.01)


def test_native_is_the_oracle() -> None:
    found = []
    for executor in ("native", "reference"):
        nn.init.manual_seed(2)
        model = cavs.compile(Many(), dtype="float64", executor=executor)
        found.append(run(model, GRAPHS, draw_inputs(model, GRAPHS)))
    assert_same(*found)


def test_derivatives_are_central_differences() -> None:
    class Value(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 3)
            y = ops.sum(ops.sigmoid(x) * ops.exp(x[0]) + ops.logsumexp(x * x)) / (1.0 + x[1] * x[1])
            (first,) = cavs.grad(y, x)
            (second,) = cavs.grad(first, x)
            v.push(y=y, first=first, second=second)

    model = cavs.compile(Value(), dtype="float64")
    x = np.random.default_rng(3).normal(size=(5, 3))
    with cavs.no_grad():
        out = {name: y.numpy() for name, y in model(POINTS, x=x).items()}
        for column in range(3):
            ends = []
            for step in (1e-5, -1e-5):
                moved = x.copy()
                moved[:, column] += step
                ends.append({name: y.numpy() for name, y in model(POINTS, x=moved).items()})
            slope = (ends[0]["y"] - ends[1]["y"]) / 2e-5
            np.testing.assert_allclose(out["first"][:, column], slope, 1e-6, 1e-8)
            slope = (ends[0]["first"].sum(1) - ends[1]["first"].sum(1)) / 2e-5
            np.testing.assert_allclose(out["second"][:, column], slope, 1e-6, 1e-8)


class Words(cavs.VertexFunction):
    """A loss of labels over looked-up words, sums over graph and batch, and by a weight."""

    def __init__(self) -> None:
        self.words = nn.Embedding(4, 3, dtype="float64")
        self.layer = nn.Linear(3, 4, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        row = self.words(v.pull("id", (), "int32"))
        loss = ops.cross_entropy(self.layer(ops.tanh(row)), v.pull("label", (), "int32"))
        total = (loss * loss).graph_sum() + loss.batch_mean()
        by_row, by_weight, by_bias = cavs.grad(
            [total, loss], [row, self.layer.weight, self.layer.bias]
        )
        v.push(
            loss=loss + ops.sum(by_row * by_row * by_row),
            by_parameters=ops.sum(by_weight * by_weight) + ops.sum(by_bias * by_bias),
        )


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_derivatives_of_derivatives_are_central_differences(executor: str) -> None:
    nn.init.manual_seed(4)
    model = cavs.compile(Words(), dtype="float64", executor=executor)
    graphs = cavs.batch([cavs.InputGraph([[], [0]]), cavs.InputGraph([[], [], [0, 1]])])
    ids, labels = np.array([1, 3, 1, -1, 0], np.int32), np.array([0, 3, 2, 1, -1], np.int32)

    def value() -> Any:
        out = model(graphs, id=ids, label=labels)
        return out["loss"].sum() + out["by_parameters"].sum()

    value().backward()
    for parameter in model.parameters():
        found = parameter.grad
        dense = found.to_dense() if isinstance(found, cavs.RowSparse) else found
        for at in list(np.ndindex(*parameter.shape))[::2]:
            ends = []
            for step in (1e-5, -2e-5, 1e-5):
                with parameter.writing() as values:
                    values[at] += step
                with cavs.no_grad():
                    ends.append(value().item())
            np.testing.assert_allclose(dense[at], (ends[0] - ends[1]) / 2e-5, 1e-6, 1e-7)


def test_computed_tables_learn_by_the_rows_alone() -> None:
    class Scaled(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table = cavs.Parameter(np.ones((4, 3)))

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=ops.embedding(self.table * 2.0, v.pull("id", (), "int32")))

    model = cavs.compile(Scaled(), dtype="float64")
    with pytest.raises(TraceError, match=r"table of an embedding .*got a value of mul, at .*\.py"):
        model(POINTS, id=np.zeros(5, np.int32))
    model.function.table.requires_grad_(False)
    assert model(POINTS, id=np.zeros(5, np.int32))["y"].numpy().tolist() == [[2.0] * 3] * 5


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "kind", "message"),
        [
            (lambda s, v, x: cavs.grad(x * x, v.pull("other", 3)), TraceError, "depend on input 0"),
            (lambda s, v, x: cavs.grad(x * x, s.w), TraceError, "on input 0, a parameter"),
            (lambda s, v, x: cavs.grad(x * x, v.pull("i", dtype="int32")), TraceError, "got ids"),
            (lambda s, v, x: cavs.grad(x, [1.0]), TraceError, "got float as input 0"),
            (lambda s, v, x: cavs.grad(s.w, x), InputError, "values of F as outputs"),
            (
                lambda s, v, x: cavs.grad(x, x, [1.0, 2.0]),
                InputError,
                "for each of 1 outputs, got 2",
            ),
            (
                lambda s, v, x: cavs.grad(x, x, np.ones(2)),
                ShapeError,
                r"of shape \(3,\).*got \(2,\)",
            ),
            (lambda s, v, x: cavs.grad([], x), InputError, "outputs, got none"),
            (
                lambda s, v, x: cavs.grad(
                    ops.embedding(s.table, v.pull("i", (), "int32")), s.table
                ),
                TraceError,
                r"no table of an embedding.*\.py:\d+.*rows that are looked up",
            ),
        ],
    )
    def test_in_a_function(self, body: Any, kind: type, message: str) -> None:
        class Bad(cavs.VertexFunction):
            def __init__(self) -> None:
                self.w = cavs.Parameter(np.ones(3))
                self.table = cavs.Parameter(np.ones((4, 3)))

            def forward(self, v: cavs.Vertex) -> None:
                x = v.pull("x", 3)
                v.push(y=x + body(self, v, x)[0])

        with pytest.raises(kind, match=rf"\[grad\] expected .*{message}") as caught:
            cavs.compile(Bad())
        assert "test_derivatives.py" in str(caught.value)

    def test_of_tensors(self) -> None:
        x, z = (cavs.Tensor(np.ones(3), requires_grad=True) for _ in range(2))
        y = (x * 2.0).sum()
        with pytest.raises(InputError, match="depend on input 0"):
            cavs.grad(y, z)
        y = (x * 2.0).sum()
        with pytest.raises(InputError, match="that require a gradient as inputs"):
            cavs.grad(y, cavs.Tensor(np.ones(3)))
        with pytest.raises(ShapeError, match=r"of shape \(\), as output 0, got \(3,\)"):
            cavs.grad(y, x, cavs.Tensor(np.ones(3)))
        cavs.grad(y, x)
        with pytest.raises(CavsRuntimeError, match="freed"):
            cavs.grad(y, x)


def test_gradients_of_tensors_touch_no_parameter() -> None:
    function = Critic(ops.tanh)
    model = cavs.compile(function, dtype="float64")
    x = cavs.Tensor(np.random.default_rng(1).normal(size=(5, 6)), requires_grad=True)
    hidden = x * 2.0
    weight = function.layers[0].weight
    loss = model(POINTS, x=hidden)["loss"].sum()
    found = cavs.grad(loss, [x, hidden, weight])
    assert weight.grad is None
    assert x.grad is None
    loss = model(POINTS, x=x * 2.0)["loss"].sum()
    loss.backward()
    np.testing.assert_array_equal(found[0].numpy(), x.grad)
    np.testing.assert_array_equal(found[1].numpy() * 2.0, x.grad)
    np.testing.assert_array_equal(found[2].numpy(), weight.grad)
    assert all(isinstance(dx, cavs.Tensor) and not dx.requires_grad for dx in found)


def test_rows_of_an_embedding_come_dense() -> None:
    table = nn.Embedding(5, 2)
    ids = cavs.Tensor(np.array([1, 3, 1], np.int32))
    (dense,) = cavs.grad(table(ids).sum(), table.weight)
    assert dense.numpy().tolist() == [[0, 0], [2, 2], [0, 0], [1, 1], [0, 0]]
    assert table.weight.grad is None
