"""Arrays from a checkpoint: those that fit are copied in, of others nothing is."""

import warnings
from typing import Any

import numpy as np
import pytest

import cavs
import cavs.data
from cavs import nn
from cavs.errors import CavsError, CheckpointError
from cavs.nn import init
from cavs.optim import SGD, Adagrad, Adam, Optimizer, StepLR


class Layer(cavs.VertexFunction):
    def __init__(self) -> None:
        self.linear = nn.Linear(2, 3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.linear(v.pull("x", 2)))


def good() -> dict[str, Any]:
    return {"linear.weight": np.ones((3, 2)), "linear.bias": np.ones(3)}


@pytest.mark.parametrize(
    "state",
    [
        None,
        3,
        [],
        "x",
        {},
        {**good(), "linear.bias": None},
        {**good(), "linear.bias": [[1], [2, 3]]},
        {**good(), "linear.bias": ["a", "b", "c"]},
        {**good(), "linear.bias": np.ones(3, complex)},
        {**good(), "linear.bias": np.full(3, 1e300)},
        {**good(), "linear.bias": object()},
        {**good(), 3: np.ones(3)},
    ],
)
def test_parameters_that_are_none_change_nothing(state: Any) -> None:
    model = cavs.compile(Layer())
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(CheckpointError) as said:
        model.load_state_dict(state)
    assert "\n" not in str(said.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_parameters_may_be_infinite_where_they_are_meant_to_be() -> None:
    """Of a mask, say; and numbers of another dtype that fit are taken."""
    model = cavs.compile(Layer())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_state_dict({**good(), "linear.bias": np.array([-np.inf, 1, 2])})
    np.testing.assert_array_equal(model.state_dict()["linear.bias"], [-np.inf, 1, 2])


def optimizers() -> list[Optimizer]:
    made: list[Optimizer] = []
    for make in (Adam, Adagrad, lambda p: SGD(p, 0.1, momentum=0.9)):
        made.append(make([("p", cavs.Parameter(np.ones(2, np.float32)))]))
    return made


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    "change",
    [
        {"groups.0.lr": np.array(-1.0)},
        {"groups.0.lr": np.array(np.nan)},
        {"groups.0.lr": np.array(np.inf)},
        {"groups.0.lr": "x"},
        {"groups.0.weight_decay": -1},
        {"groups.0.weight_decay": [0.0, 1.0]},
        {"more": np.ones(2)},
        {"FIRST": np.full(2, np.nan)},
        {"FIRST": np.ones(3)},
        {"FIRST": None},
    ],
)
def test_states_of_optimizers_that_are_none_change_nothing(
    number: int, change: dict[str, Any]
) -> None:
    optimizer = optimizers()[number]
    own = optimizer.state_dict()
    before = {name: np.array(array) for name, array in own.items()}
    first = next(iter(own))
    state = {**before, **{k.replace("FIRST", first): value for k, value in change.items()}}
    with pytest.raises(CheckpointError) as said:
        optimizer.load_state_dict(state)
    assert "\n" not in str(said.value)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_values_out_of_the_range_of_their_optimizer() -> None:
    adam, adagrad, sgd = optimizers()
    for optimizer, name, value in (
        (adam, "p.step", np.array(-1)),
        (adam, "p.step", np.array(0.5)),
        (adam, "p.exp_avg_sq", -np.ones(2)),
        (adam, "groups.0.beta1", np.array(1.0)),
        (adagrad, "p.sum", -np.ones(2)),
        (SGD([("p", cavs.Parameter(np.ones(2)))], 0.1), "groups.0.momentum", np.array(0.9)),
        (sgd, "groups.0.momentum", np.array(-0.9)),
    ):
        state = {k: np.array(v) for k, v in optimizer.state_dict().items()}
        with pytest.raises(CheckpointError):
            optimizer.load_state_dict({**state, name: value})
        optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"count": 1},
        {"count": -1, "base_lrs": [0.1]},
        {"count": "1", "base_lrs": [0.1]},
        {"count": 10**400, "base_lrs": [0.1]},
        {"count": 1, "base_lrs": 0.1},
        {"count": 1, "base_lrs": [0.1, 0.2]},
        {"count": 1, "base_lrs": ["x"]},
        {"count": 1, "base_lrs": [float("nan")]},
        {"count": 1, "base_lrs": [-0.1]},
    ],
)
def test_states_of_schedules_that_are_none(state: Any) -> None:
    schedule = StepLR(optimizers()[0], step_size=2, gamma=0.5)
    with pytest.raises(CheckpointError) as said:
        schedule.load_state_dict(state)
    assert "\n" not in str(said.value)
    assert schedule.count == 0


BAD_RANDOM: list[Any] = [
    *[None, 3, [], "seed", {}, {"seed": 1}, {"seed": 1, "step": -1}, {"seed": 2**64, "step": 0}],
    *[{"seed": "1", "step": 0}, {"seed": 1.0, "step": 0}, {"seed": True, "step": 0}],
    *[{"seed": 1, "step": 0, "more": 0}, {"seed": 1, 3: 0}],
]


@pytest.mark.parametrize("state", BAD_RANDOM)
def test_random_states_that_are_none_change_nothing(state: Any) -> None:
    class Both(cavs.VertexProgram):
        pass

    model = cavs.compile(Layer(), seed=5)
    program = cavs.compile(Both({"a": Layer(), "b": Layer()}), seed=5)
    for target in (model, program, cavs.Generator(5)):
        get = target.state if isinstance(target, cavs.Generator) else target.random_state
        put = target.set_state if isinstance(target, cavs.Generator) else target.set_random_state
        before = get()
        with pytest.raises(CavsError) as said:
            put(state)
        assert "\n" not in str(said.value)
        assert get() == before


@pytest.mark.parametrize(
    "state",
    [
        None,
        {"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}, "has_uint32": 0},
        {"bit_generator": "PCG64", "state": 3},
    ],
)
def test_states_of_initial_values_that_are_none(state: Any) -> None:
    before = init.get_state()
    with pytest.raises(CheckpointError):
        init.set_state(state)
    init.set_state(before)


@pytest.mark.parametrize(
    "state", [None, 3, [], {"epoch": True, "batch": 0}, {"epoch": -1, "batch": 0}]
)
def test_states_of_loaders_that_are_none(state: Any) -> None:
    loader = cavs.data.Loader(cavs.data.Dataset([cavs.InputGraph([[]])] * 4), 2)
    given = {**loader.state_dict(), **state} if isinstance(state, dict) else state
    with pytest.raises(CavsError) as said:
        loader.load_state_dict(given)
    assert "\n" not in str(said.value)
