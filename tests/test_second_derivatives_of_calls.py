"""Derivatives of derivatives through calls of models: beside PyTorch, and beside differences."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops, recording
from cavs.errors import CavsRuntimeError, InputError

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])
POINTS = cavs.batch([cavs.InputGraph([[]])] * 4)
TREES = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])


def leaf(values: Any) -> cavs.Tensor:
    return cavs.Tensor(np.array(values, np.float64), requires_grad=True)


class Perceptron(cavs.VertexFunction):
    def __init__(self) -> None:
        self.first, self.second = (nn.Linear(a, b, dtype="float64") for a, b in ((3, 5), (5, 2)))

    def forward(self, v: cavs.Vertex) -> None:
        y = self.second(ops.tanh(self.first(v.pull("x", 3))))
        v.push(y=y, square=ops.sum(y * y))


@EXECUTORS
def test_derivatives_of_four_orders_are_torchs(executor: str) -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(0)
    model = cavs.compile(Perceptron(), dtype="float64", executor=executor)
    x = leaf(np.random.default_rng(0).normal(size=(4, 3)))
    xs = [x, *model.parameters()]
    twins = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in xs]
    out = model(POINTS, x=x)
    y = (out["y"] * out["y"] * out["square"].reshape(4, 1)).sum()
    ty = torch.tanh(twins[0] @ twins[1].T + twins[2]) @ twins[3].T + twins[4]
    ty = (ty * ty * (ty * ty).sum(1, keepdim=True)).sum()
    for order in range(4):
        found = cavs.grad(y, xs, create_graph=order < 3)
        theirs = torch.autograd.grad(ty, twins, create_graph=True)
        for own, other in zip(found, theirs, strict=True):
            expected = other.detach().numpy()
            np.testing.assert_allclose(own.numpy(), expected, 1e-11, 1e-12)
        y = sum(((g * g).sum() for g in found[1:]), (found[0] * found[0]).sum()) * 0.1
        ty = sum((g * g).sum() for g in theirs) * 0.1
    assert all(parameter.grad is None for parameter in model.parameters())


class Critic(cavs.VertexFunction):
    def __init__(self) -> None:
        self.first, self.second = (nn.Linear(a, b, dtype="float64") for a, b in ((3, 5), (5, 1)))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(score=ops.sum(self.second(ops.tanh(self.first(v.pull("x", 3))))))


def test_a_gradient_penalty_outside_is_the_one_inside() -> None:
    class Inside(Critic):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 3)
            score = ops.sum(self.second(ops.tanh(self.first(x))))
            (slope,) = cavs.grad(score, x)
            v.push(loss=ops.square(ops.sqrt(ops.sum(slope * slope)) - 1.0))

    given, found = np.random.default_rng(0).normal(size=(4, 3)), []
    for kind in (Inside, Critic):
        nn.init.manual_seed(1)
        model = cavs.compile(kind(), dtype="float64")
        x = leaf(given)
        if kind is Inside:
            loss = model(POINTS, x=x)["loss"].sum()
        else:
            (slope,) = cavs.grad(model(POINTS, x=x)["score"], x, create_graph=True)
            loss = ops.square((slope * slope).sum(axis=1).sqrt() - 1.0).sum()
        loss.backward()
        found.append([x.grad, *(p.grad for p in model.parameters() if p.grad is not None)])
    for inside, outside in zip(*found, strict=True):
        np.testing.assert_allclose(outside, inside, 1e-12, 1e-14)


class Rows(cavs.VertexFunction):
    """Inputs of vertices, edges, graphs and the batch; sums between them; a shared weight."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.random.default_rng(0).normal(size=(3, 3)))
        self.unused = cavs.Parameter(np.ones(2))

    def forward(self, v: cavs.Vertex) -> None:
        x, edge = v.pull("x", 3), v.pull_edge("edge", 3)
        of_graph, shared = v.pull_graph("of_graph", 3), v.pull_batch("shared", 3)
        mixed = ops.sigmoid(x @ self.w + of_graph) * (edge.softmax() * (x * shared)).sum()
        y = mixed.graph_sum() * x.batch_mean() + ops.exp(x * 0.3)
        v.push(y=y, edges=edge * edge * ops.tanh(x))


def _values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    sizes = {"x": (5, 3), "edge": (3, 3), "of_graph": (2, 3), "shared": (3,)}
    return {name: rng.normal(size=size) for name, size in sizes.items()}


def _slopes(
    model: cavs.Model, graphs: Any, inputs: Sequence[Any], call: Callable[[], Any]
) -> cavs.Tensor:
    """A number made of the gradients by inputs and parameters."""
    found = cavs.grad(call(), inputs, create_graph=True)
    parts = [(g * g * np.linspace(0.5, 1.0, g.size).reshape(g.shape)).sum() for g in found]
    total: cavs.Tensor = sum(parts[1:], parts[0])
    return total


def _check_differences(value: Callable[[], cavs.Tensor], xs: Sequence[cavs.Tensor]) -> None:
    """The gradient of a number by tensors, against central differences."""
    found = cavs.grad(value(), xs)
    for x, dx in zip(xs, found, strict=True):
        for at in list(np.ndindex(*x.shape))[:8]:
            ends = []
            for step in (1e-5, -2e-5, 1e-5):
                x.data[at] += step
                ends.append(value().item())
            expected = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(dx.numpy()[at], expected, 1e-6, 1e-7)


@EXECUTORS
def test_rows_of_all_kinds(executor: str) -> None:
    model = cavs.compile(Rows(), dtype="float64", executor=executor)
    tensors = {name: leaf(x) for name, x in _values().items()}
    xs = [*tensors.values(), model.function.w]

    def value() -> cavs.Tensor:
        def call() -> Any:
            out = model(TREES, **tensors)
            return (out["y"] * out["y"]).sum() + (out["edges"] ** 3.0).sum()

        return _slopes(model, TREES, xs, call)

    _check_differences(value, xs)


class Words(cavs.VertexFunction):
    """A loss of labels over looked-up words, whose table is the last layer too."""

    def __init__(self) -> None:
        self.words = nn.Embedding(4, 3, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        row = ops.tanh(self.words(v.pull("id", (), "int32")))
        logits = ops.linear(row, self.words.weight)
        v.push(loss=ops.cross_entropy(logits, v.pull("label", (), "int32")))


@EXECUTORS
def test_tables_are_torchs(executor: str) -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(0)
    model = cavs.compile(Words(), dtype="float64", executor=executor)
    ids, labels = np.array([3, 0, 3, 1], np.int32), np.array([1, 2, 0, 3], np.int32)
    table = model.function.words.weight
    loss = model(POINTS, id=ids, label=labels)["loss"]
    other = torch.tensor(table.numpy().copy(), requires_grad=True)
    logits = torch.tanh(other[torch.tensor(ids).long()]) @ other.T
    theirs = torch.nn.functional.cross_entropy(
        logits, torch.tensor(labels).long(), reduction="none"
    )
    y, ty = (loss * loss).sum(), (theirs * theirs).sum()
    for _ in range(3):
        (own,) = cavs.grad(y, table, create_graph=True)
        (expected,) = torch.autograd.grad(ty, other, create_graph=True)
        np.testing.assert_allclose(own.numpy(), expected.detach().numpy(), 1e-11, 1e-13)
        y, ty = (own * own).sum(), (expected * expected).sum()


def test_what_is_stopped_counts_as_given_to_every_order() -> None:
    """The second derivative is that of the gradient's formula, as PyTorch has it."""
    torch = pytest.importorskip("torch")

    class Stopped(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x")
            v.push(y=ops.stop_gradient(ops.tanh(x)) * x**3.0 + x * ops.stop_gradient(x))

    x = leaf([0.3, -0.7, 1.1, 2.0])
    t = torch.tensor(x.numpy().copy(), requires_grad=True)
    y = cavs.compile(Stopped(), dtype="float64")(POINTS, x=x)["y"].sum()
    ty = (torch.tanh(t).detach() * t**3 + t * t.detach()).sum()
    for _ in range(2):
        (y,) = cavs.grad(y, x, create_graph=True)
        (ty,) = torch.autograd.grad(ty.sum(), t, create_graph=True)
        np.testing.assert_allclose(y.numpy(), ty.detach().numpy(), 1e-13)


class Normed(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w, self.norm = nn.Linear(3, 4), nn.BatchNorm(4)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=ops.sum(ops.square(ops.tanh(self.norm(self.w(v.pull("x", 3)))))))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_torchs_and_writes_its_averages_once(training: bool) -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(0)
    model = cavs.compile(Normed(), dtype="float64").train(training)
    function: Any = model.function
    x = leaf(np.random.default_rng(0).normal(size=(4, 3)))
    linear, norm = torch.nn.Linear(3, 4).double(), torch.nn.BatchNorm1d(4).double()
    norm.train(training)
    with torch.no_grad():
        for theirs, own in ((linear, function.w), (norm, function.norm)):
            for name, p in theirs.named_parameters():
                p.copy_(torch.tensor(getattr(own, name).numpy()))
    t = torch.tensor(x.numpy().copy(), requires_grad=True)
    (dt,) = torch.autograd.grad((torch.tanh(norm(linear(t))) ** 2).sum(), t, create_graph=True)
    expected = torch.autograd.grad((dt**2).sum(), [t, linear.weight, norm.weight, norm.bias])
    (dx,) = cavs.grad(model(POINTS, x=x)["y"].sum(), x, create_graph=True)
    xs = [x, function.w.weight, function.norm.weight, function.norm.bias]
    for own, other in zip(cavs.grad((dx * dx).sum(), xs), expected, strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), 1e-10, 1e-12)
    for name in ("running_mean", "running_var"):
        known = getattr(norm, name).numpy()
        np.testing.assert_allclose(getattr(function.norm, name).numpy(), known, 1e-12)


class Noisy(cavs.VertexFunction):
    def __init__(self) -> None:
        self.layer = nn.Linear(3, 3, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        y = ops.dropout(ops.tanh(self.layer(x)) * v.normal(3), 0.4)
        v.push(y=ops.sum(y * y * x))


@pytest.mark.parametrize("training", [True, False])
def test_random_numbers_are_those_of_the_call(training: bool) -> None:
    nn.init.manual_seed(0)
    model = cavs.compile(Noisy(), dtype="float64", seed=5).train(training)
    x, state = leaf(np.random.default_rng(0).normal(size=(5, 3))), model.random_state()
    xs = [x, *model.parameters()]

    def value() -> cavs.Tensor:
        model.set_random_state(state)
        return _slopes(model, TREES, xs, lambda: model(TREES, x=x)["y"].sum())

    model.set_random_state(state)
    plain = cavs.grad(model(TREES, x=x)["y"], xs)
    after = model.random_state()
    model.set_random_state(state)
    graphs = cavs.grad(model(TREES, x=x)["y"], xs, create_graph=True)
    assert model.random_state() == after  # the gradient draws nothing of its own
    for a, b in zip(plain, graphs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-12, 1e-14)
    _check_differences(value, xs)


def test_a_change_of_mode_after_the_call_changes_nothing() -> None:
    model = cavs.compile(Noisy(), dtype="float64", seed=5)
    x, state = leaf(np.ones((5, 3))), model.random_state()
    (expected,) = cavs.grad(model(TREES, x=x)["y"], x)
    model.set_random_state(state)
    y = model(TREES, x=x)["y"]
    (found,) = cavs.grad(y, x, create_graph=True)
    model.eval()
    (again,) = cavs.grad(y, x, create_graph=True)
    for dx in (found, again):
        np.testing.assert_allclose(dx.numpy(), expected.numpy(), 1e-12, 1e-14)


def test_backward_gives_parameters_tensors() -> None:
    nn.init.manual_seed(0)
    model = cavs.compile(Critic(), dtype="float64")
    model.function.second.bias.requires_grad_(False)
    x = np.random.default_rng(0).normal(size=(4, 3))
    model(POINTS, x=x)["score"].sum().backward(create_graph=True)
    weight = model.function.first.weight
    assert isinstance(weight.grad, cavs.Tensor)
    assert model.function.second.bias.grad is None
    (second,) = cavs.grad((weight.grad * weight.grad).sum(), weight)
    assert second.numpy().any()


def test_inputs_of_another_precision() -> None:
    nn.init.manual_seed(0)
    model = cavs.compile(Perceptron())  # float32
    x = leaf(np.random.default_rng(0).normal(size=(4, 3)))
    (dx,) = cavs.grad(model(POINTS, x=x)["square"], x, create_graph=True)
    (second,) = cavs.grad((dx * dx).sum(), x)
    assert dx.dtype == second.dtype == np.float64


def test_a_linear_function() -> None:
    class Sum(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=ops.sum(v.pull("x", 3)) * 2.0, z=v.pull("z"))

    model = cavs.compile(Sum(), dtype="float64")
    x, z = leaf(np.ones((4, 3))), leaf(np.ones(4))
    out = model(POINTS, x=x, z=z)
    dx, dz = cavs.grad([out["y"], out["z"]], [x, z], create_graph=True)
    assert dx.numpy().tolist() == [[2.0] * 3] * 4
    assert dz.numpy().tolist() == [1.0] * 4
    with pytest.raises(InputError, match=r"\[grad\] expected "):
        cavs.grad(dx, x)


def test_tangents_are_compiled_once() -> None:
    model = cavs.compile(Critic(), dtype="float64")
    x = leaf(np.ones((4, 3)))
    for _ in range(3):
        (dx,) = cavs.grad(model(POINTS, x=x)["score"], x, create_graph=True)
        cavs.grad((dx * dx).sum(), x)
    executor = model._executor
    assert len(recording._tangents[executor]) == 1
    gone = weakref.ref(executor)
    del model, executor, dx
    gc.collect()
    assert gone() is None


def test_memory_goes_with_the_last_tensor() -> None:
    model = cavs.compile(Critic(), dtype="float64")
    x = leaf(np.ones((4, 3)))
    cavs.grad(model(POINTS, x=x)["score"], x, create_graph=True)  # compiles
    gc.collect()
    gc.disable()
    try:
        y = model(POINTS, x=x)["score"]
        (dx,) = cavs.grad(y, x, create_graph=True)
        (second,) = cavs.grad((dx * dx).sum(), x, create_graph=True)
        held = [weakref.ref(found) for t in (y, dx, second) for found in (t, t._values)]
        del y, dx, second
        assert not [found() for found in held if found() is not None]
    finally:
        gc.enable()


class TestRefusals:
    def test_what_was_written_since(self) -> None:
        model = cavs.compile(Critic(), dtype="float64")
        x = leaf(np.ones((4, 3)))
        y = model(POINTS, x=x)["score"]
        x.data[0] = 3.0
        with pytest.raises(CavsRuntimeError, match=r"\[grad\] expected input 'x' as it was"):
            cavs.grad(y, x, create_graph=True)
        y = model(POINTS, x=x)["score"]
        model.function.first.weight.data[0] = 3.0
        with pytest.raises(CavsRuntimeError, match=r"parameter 'first\.weight' as it was"):
            cavs.grad(y, x, create_graph=True)
