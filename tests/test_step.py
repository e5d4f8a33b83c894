"""`Model.step` gives the bits of the calls it stands for, and changes nothing where it fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import draw_inputs
from strategies import batches

import cavs
from cavs import ops, optim
from cavs.errors import CavsRuntimeError, InputError, NonFiniteError, ShapeError

GRAPHS = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1], [], [2, 3]]),
        cavs.InputGraph([[], [0]]),
        cavs.InputGraph([[]]),
    ]
)
Make = Callable[[Any], optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adagrad-decay": lambda p: optim.Adagrad(
        p, lr=0.1, weight_decay=0.1, initial_accumulator_value=0.1
    ),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam-decay": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
}


class Trained:
    """A function of the library with an optimizer, and what a step of it leaves."""

    def __init__(self, name: str, dtype: str, make: Make, **options: Any) -> None:
        function = vertex_functions.make_function(name, dtype)
        self.model = cavs.compile(function, dtype=dtype, seed=3, **options)
        self.optimizer = make(self.model.named_parameters())

    def separately(
        self, graphs: Any, inputs: Any, loss: str, scale: float, clip_norm: float
    ) -> cavs.Tensor:
        value = self.model(graphs, **inputs)[loss].sum() * scale
        self.optimizer.zero_grad()
        value.backward()
        if clip_norm:
            optim.clip_grad_norm(self.model.parameters(), clip_norm)
        self.optimizer.step()
        return value

    def state(self) -> dict[str, Any]:
        """All that a step may change, as bytes."""
        found: dict[str, Any] = {"random": self.model.random_state()}
        for name, parameter in self.model.named_parameters():
            grad = parameter.grad
            found[f"{name}.grad"] = type(grad)
            if isinstance(grad, cavs.RowSparse):
                found[f"{name}.indices"] = grad.indices.tobytes()
                found[f"{name}.rows"] = (grad.shape, grad.values.shape, grad.values.tobytes())
            elif grad is not None:
                found[f"{name}.rows"] = (grad.shape, grad.tobytes())
        return found | self.kept()

    def kept(self) -> dict[str, Any]:
        """Of that, what must be the same after an error."""
        arrays = {f"{n}.value": p for n, p in self.model.state_dict().items()}
        arrays |= self.optimizer.state_dict()
        return {name: (x.dtype, x.shape, x.tobytes()) for name, x in arrays.items()}


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


# --- What is refused ----------------------------------------------------------------------------


def nan_options(trained: Trained) -> None:
    trained.optimizer.groups[0]["lr"] = math.nan


WRONG: dict[str, tuple[dict[str, Any], Any, type[Exception], str]] = {
    "loss": ({"loss": "lost"}, None, InputError, r"an output among \['logits', 'loss'\].*'lost'"),
    "scale": ({"scale": math.nan}, None, InputError, "expected a finite scale"),
    "scale-text": ({"scale": "1"}, None, InputError, "expected a finite scale"),
    "scale-huge": ({"scale": 10**400}, None, InputError, "expected a finite scale"),
    "clip-huge": ({"clip_norm": 10**400}, None, InputError, "a finite clip_norm >= 0"),
    "clip-nan": ({"clip_norm": math.nan}, None, InputError, "a finite clip_norm >= 0"),
    "clip-inf": ({"clip_norm": math.inf}, None, InputError, "a finite clip_norm >= 0"),
    "clip-negative": ({"clip_norm": -1.0}, None, InputError, "clip_norm >= 0"),
    "unknown": ({"wrod": np.zeros(8, np.int32)}, None, InputError, "wrod"),
    "rows": ({"word": np.zeros(3, np.int32)}, None, ShapeError, "'word'"),
    "ids": ({"word": np.full(8, 1000)}, None, InputError, "ids in"),
    "lr": ({}, nan_options, InputError, "lr: expected a finite number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_refused_step_changes_nothing(name: str) -> None:
    changes, spoil, error, match = WRONG[name]
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["adam"])
    inputs = draw_inputs(trained.model, GRAPHS)
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    if spoil is not None:
        spoil(trained)
    before, random = trained.kept(), trained.model.random_state()
    with pytest.raises(error, match=match):
        trained.model.step(GRAPHS, trained.optimizer, **{**inputs, **changes})
    assert trained.kept() == before
    assert spoil is not None or trained.model.random_state() == random


class Roots(cavs.VertexFunction):
    """The gradient of its loss at 0 is infinite; the loss of what is below is NaN."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.ones(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(loss=ops.sum(ops.sqrt(v.pull("x", 3) * self.w), -1), one=v.pull("x", 3) * self.w)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_what_is_not_finite_changes_nothing(executor: str) -> None:
    model = cavs.compile(Roots(), executor=executor)
    optimizer = optim.Adam(model.parameters())
    graphs = cavs.batch([cavs.InputGraph([[]])])
    with np.errstate(all="ignore"):
        with pytest.raises(NonFiniteError, match=r"expected a finite loss, got nan"):
            model.step(graphs, optimizer, x=-np.ones((1, 3), np.float32))
        with pytest.raises(NonFiniteError, match="expected gradients of a finite norm"):
            model.step(graphs, optimizer, clip_norm=1.0, x=np.zeros((1, 3), np.float32))
    assert model.parameters()[0].data.tolist() == [1.0, 1.0, 1.0]
    assert optimizer.state_dict()["0.step"] == 0
    model.step(graphs, optimizer, loss="one", clip_norm=1.0, x=np.ones((1, 3), np.float32))
    assert optimizer.state_dict()["0.step"] == 1


def test_where_nothing_learns_a_step_is_refused() -> None:
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"])
    inputs = draw_inputs(trained.model, GRAPHS)
    with cavs.no_grad(), pytest.raises(CavsRuntimeError, match=r"\[step\].*no_grad"):
        trained.model.step(GRAPHS, trained.optimizer, **inputs)
    for parameter in trained.model.parameters():
        parameter.requires_grad = False
    with pytest.raises(CavsRuntimeError, match=r"\[step\]"):
        trained.model.step(GRAPHS, trained.optimizer, **inputs)


def test_what_is_no_optimizer_is_refused() -> None:
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"])
    wrong: Any = trained.model.parameters()
    with pytest.raises(InputError, match=r"expected an optimizer of cavs.optim, got list"):
        trained.model.step(GRAPHS, wrong, **draw_inputs(trained.model, GRAPHS))


def test_a_layer_replaced_in_another_model_of_the_optimizer() -> None:
    """An error as of the separate calls, and nothing has changed."""
    one, other = (Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"]) for _ in range(2))
    one.optimizer = optim.SGD([*one.model.parameters(), *other.model.parameters()], lr=0.1)
    inputs = draw_inputs(one.model, GRAPHS)
    one.model.step(GRAPHS, one.optimizer, **inputs)
    name, layer = next(
        (n, x) for n, x in vars(other.model.function).items() if hasattr(x, "weight")
    )
    setattr(other.model.function, name, type(layer)(*layer.weight.shape))
    before = one.kept(), one.model.random_state()
    with pytest.raises(CavsRuntimeError, match=f"attribute '{name}'"):
        one.model.step(GRAPHS, one.optimizer, **inputs)
    assert (one.kept(), one.model.random_state()) == before
