"""`Model.step` gives the bits of the calls it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import draw_inputs
from strategies import batches
from trained_functions import GRAPHS, OPTIMIZERS, Trained

import cavs
from cavs import nn, ops, optim
from cavs.errors import CavsRuntimeError


def assert_same_steps(
    one: Trained, other: Trained, graphs: Any, loss: str, scale: float, clip_norm: float
) -> None:
    for seed in range(3):
        inputs = draw_inputs(one.model, graphs, seed)
        found = one.model.step(
            graphs, one.optimizer, loss=loss, scale=scale, clip_norm=clip_norm, **inputs
        )
        value = other.separately(graphs, inputs, loss, scale, clip_norm)
        assert (found.shape, found.dtype) == ((), one.model.dtype)
        assert found.data.tobytes() == value.data.tobytes()
        assert found.is_leaf
        assert not found.requires_grad
        assert one.state() == other.state()


def losses_of(name: str) -> list[str]:
    return sorted(cavs.compile(vertex_functions.make_function(name))._compiler.function.pushes)


def by_parts(*_: Any) -> None:
    raise AssertionError("by parts")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps by parts fail."""
    monkeypatch.setattr("cavs.model.separate_step", by_parts)


# Functions without parameters have nothing to learn.
TRAINABLE = sorted(
    name
    for name in vertex_functions.FUNCTIONS
    if cavs.compile(vertex_functions.make_function(name))._compiler.params
)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", TRAINABLE)
def test_a_step_of_every_function_gives_the_same_bits(name: str) -> None:
    kinds = list(OPTIMIZERS.values())
    for number, loss in enumerate(losses_of(name)):
        make = kinds[(TRAINABLE.index(name) + number) % len(kinds)]
        dtype = ("float32", "float64")[number % 2]
        one, other = (Trained(name, dtype, make) for _ in range(2))
        assert_same_steps(one, other, GRAPHS, loss, 0.25, 0.0)
        assert_same_steps(one, other, GRAPHS, loss, 1.0, 1e-3)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", ["ChildSumTreeLSTM", "SharedEmbedding", "WideTreeLSTM"])
def test_a_step_of_every_optimizer_gives_the_same_bits(name: str, kind: str, dtype: str) -> None:
    one, other = (Trained(name, dtype, OPTIMIZERS[kind]) for _ in range(2))
    loss = losses_of(name)[0]
    for clip_norm in (0.0, 1e-2, 1e9):
        assert_same_steps(one, other, GRAPHS, loss, 0.5, clip_norm)


@pytest.mark.usefixtures("at_once")
@given(batches(), st.sampled_from(sorted(OPTIMIZERS)), st.sampled_from([0.0, 0.1]))
@settings(max_examples=20)
def test_a_step_over_any_graphs_gives_the_same_bits(
    graphs: cavs.GraphBatch, kind: str, clip_norm: float
) -> None:
    one, other = (Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS[kind]) for _ in range(2))
    assert_same_steps(one, other, graphs, losses_of("ChildSumTreeLSTM")[0], 0.5, clip_norm)


@pytest.mark.usefixtures("at_once")
def test_what_the_loss_does_not_need_is_not_computed() -> None:
    class Both(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w, self.other = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 3)
            v.push(loss=ops.sum(self.w(x)), other=self.other(x))

    function = Both()
    model = cavs.compile(function)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5)
    before = function.other.weight.data.copy()
    graphs = cavs.batch([cavs.InputGraph([[], [0]])])
    model.step(graphs, optimizer, x=np.ones((2, 3), np.float32))
    assert function.w.weight.grad is not None
    assert function.other.weight.grad is None
    np.testing.assert_array_equal(function.other.weight.data, before)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("policy", ["batching", "serial"])
def test_dropout_draws_the_same(policy: str) -> None:
    one, other = (
        Trained("Dropouts", "float32", OPTIMIZERS["sgd"], policy=policy) for _ in range(2)
    )
    for _ in range(2):
        assert_same_steps(one, other, GRAPHS, losses_of("Dropouts")[0], 1.0, 0.0)
        one.model.eval()
        other.model.eval()
    assert one.model.random_state()["step"] == 3


def two_groups(parameters: Any) -> optim.Optimizer:
    named = list(parameters)
    return optim.AdamW(
        [{"params": named[1::2], "lr": 0.5}, {"params": named[::2], "weight_decay": 0.3}], lr=0.1
    )


@pytest.mark.usefixtures("at_once")
def test_groups_have_their_own_options_which_may_change() -> None:
    one, other = (Trained("ChildSumTreeLSTM", "float32", two_groups) for _ in range(2))
    for rate in (0.1, 0.01):
        for trained in (one, other):
            trained.optimizer.groups[1]["lr"] = rate
        assert_same_steps(one, other, GRAPHS, "loss", 1.0, 0.0)


@pytest.mark.usefixtures("at_once")
def test_frozen_parameters_stay_and_what_the_model_does_not_have_too() -> None:
    extra = [cavs.Parameter(np.ones(3, np.float32)) for _ in range(2)]
    pair = []
    for parameter in extra:

        def make(parameters: Any, parameter: cavs.Parameter = parameter) -> optim.Optimizer:
            return optim.Adam([*parameters, ("extra", parameter)])

        pair.append(Trained("ChildSumTreeLSTM", "float32", make))
    for frozen in ([0], [0, 2, 3], []):
        for trained, parameter in zip(pair, extra, strict=True):
            for number, own in enumerate(trained.model.parameters()):
                own.requires_grad = number not in frozen
            parameter.grad = np.ones(3, np.float32)
        for clip_norm in (0.0, 1e-2):
            assert_same_steps(*pair, GRAPHS, "loss", 1.0, clip_norm)
        assert all(parameter.grad is None for parameter in extra)


def test_parameters_that_the_optimizer_does_not_hold_get_their_gradients() -> None:
    def some(parameters: Any) -> optim.Optimizer:
        return optim.SGD(list(parameters)[2:], lr=0.1)

    one, other = (Trained("ChildSumTreeLSTM", "float32", some) for _ in range(2))
    for clip_norm in (0.0, 1e-2):
        assert_same_steps(one, other, GRAPHS, "loss", 1.0, clip_norm)
    assert all(p.grad is not None for p in one.model.parameters()[:2])


def test_what_learns_nothing_but_has_a_gradient_is_clipped_all_the_same() -> None:
    def some(parameters: Any) -> optim.Optimizer:
        return optim.SGD(list(parameters)[2:], lr=0.1)

    pair = [Trained("ChildSumTreeLSTM", "float32", some) for _ in range(2)]
    for trained in pair:
        for parameter in trained.model.parameters()[:2]:
            parameter.requires_grad = False
            parameter.grad = np.full(parameter.shape, 3.0, np.float32)
    for clip_norm in (0.0, 1e-2):
        assert_same_steps(*pair, GRAPHS, "loss", 1.0, clip_norm)


class Halving(optim.SGD):
    """An update of the user's own."""

    def step(self) -> None:
        super().step()
        for group in self.groups:
            for parameter in group["params"]:
                parameter.data[...] *= 0.5


def test_an_optimizer_of_the_users_own_updates() -> None:
    one, other = (Trained("ChildSumTreeLSTM", "float32", lambda p: Halving(p, 0.1)) for _ in "12")
    before = np.abs(one.model.parameters()[1].data).max()
    assert_same_steps(one, other, GRAPHS, "loss", 1.0, 0.0)
    assert np.abs(one.model.parameters()[1].data).max() < before


def test_the_reference_executor_steps_by_the_separate_calls() -> None:
    make = OPTIMIZERS["adagrad"]
    one = Trained("ChildSumTreeLSTM", "float64", make, executor="reference")
    other = Trained("ChildSumTreeLSTM", "float64", make, executor="reference")
    assert_same_steps(one, other, GRAPHS, "loss", 0.5, 0.1)
    native = Trained("ChildSumTreeLSTM", "float64", make)
    for seed in range(3):
        inputs = draw_inputs(native.model, GRAPHS, seed)
        native.model.step(GRAPHS, native.optimizer, scale=0.5, clip_norm=0.1, **inputs)
    for p, q in zip(native.model.parameters(), one.model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_an_optimizer_of_another_model_is_refused(executor: str) -> None:
    make = OPTIMIZERS["sgd"]
    one = Trained("ChildSumTreeLSTM", "float32", make, executor=executor)
    other = Trained("ChildSumTreeLSTM", "float32", make)
    before = one.state()
    with pytest.raises(cavs.InputError, match=r"has none of them; make it of model.parameters\(\)"):
        one.model.step(GRAPHS, other.optimizer, **draw_inputs(one.model, GRAPHS))
    assert one.state() == before


def test_inputs_that_want_gradients_get_them() -> None:
    pair = [Trained("EdgeInputs", "float32", OPTIMIZERS["adam"]) for _ in range(2)]
    loss, grads = losses_of("EdgeInputs")[0], []
    drawn = draw_inputs(pair[0].model, GRAPHS)
    x = drawn["x"].astype(np.float32)
    tensors = [cavs.Tensor(x, requires_grad=True) for _ in pair]
    pair[0].model.step(GRAPHS, pair[0].optimizer, loss=loss, **{**drawn, "x": tensors[0] * 2.0})
    pair[1].separately(GRAPHS, {**drawn, "x": tensors[1] * 2.0}, loss, 1.0, 0.0)
    grads = [t.grad.tobytes() for t in tensors]
    assert grads[0] == grads[1]
    assert pair[0].state() == pair[1].state()


@pytest.mark.usefixtures("at_once")
def test_inference_after_a_step_sees_the_new_weights() -> None:
    one, other = (Trained("WideTreeLSTM", "float32", OPTIMIZERS["adagrad"]) for _ in range(2))
    inputs = draw_inputs(one.model, GRAPHS)
    for _ in range(3):
        one.model.step(GRAPHS, one.optimizer, **inputs)
        other.separately(GRAPHS, inputs, "loss", 1.0, 0.0)
        with cavs.no_grad():
            found, expected = (t.model(GRAPHS, **inputs)["loss"] for t in (one, other))
        assert found.data.tobytes() == expected.data.tobytes()


@pytest.mark.usefixtures("at_once")
def test_the_memory_of_a_gradient_serves_the_next_step_but_no_other_holder() -> None:
    trained = Trained("WideTreeLSTM", "float32", OPTIMIZERS["sgd"])
    inputs = draw_inputs(trained.model, GRAPHS)
    weight = next(p for n, p in trained.model.named_parameters() if n == "w_iou.weight")
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    assert isinstance(weight.grad, np.ndarray)
    address = weight.grad.ctypes.data
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    held = weight.grad
    assert held.ctypes.data == address
    copy = held.copy()
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    assert weight.grad is not held
    np.testing.assert_array_equal(held, copy)


@pytest.mark.usefixtures("at_once")
def test_a_step_between_a_call_and_its_backward_is_seen() -> None:
    trained = Trained("WideTreeLSTM", "float32", OPTIMIZERS["sgd"])
    inputs = draw_inputs(trained.model, GRAPHS)
    pending = trained.model(GRAPHS, **inputs)["loss"].sum()
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    with pytest.raises(CavsRuntimeError, match="written since"):
        pending.backward()
