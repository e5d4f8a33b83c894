"""Groups of parameters and their options, and errors that name wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, optim
from cavs.errors import InputError, ShapeError
from cavs.tensor import Parameter


def test_groups_have_options_of_their_own() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [("b", b)], "lr": 0.5}], lr=0.1)
    a.grad = b.grad = np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(a.data, 0.9)
    np.testing.assert_allclose(b.data, 0.5)
    assert [group["names"] for group in optimizer.groups] == [["0"], ["b"]]
    optimizer.zero_grad()
    assert [p.grad for p in (a, b)] == [None, None]


P = Parameter(np.ones(2))
BAD: dict[str, Callable[[], Any]] = {
    "at least one parameter": lambda: optim.SGD([], lr=0.1),
    "each name once": lambda: optim.SGD([P, P], lr=0.1),
    r"got ndarray": lambda: optim.SGD([np.ones(2)], lr=0.1),
    "a list of parameters": lambda: optim.SGD(P, lr=0.1),
    "groups with 'params'": lambda: optim.SGD([{"lr": 0.1}], lr=0.1),
    r"got \['speed'\]": lambda: optim.SGD([{"params": [P], "speed": 1}], lr=0.1),
    r"a finite lr >= 0, got -0.1": lambda: optim.SGD([P], lr=-0.1),
    r"a finite lr >= 0, got nan": lambda: optim.Adagrad([P], lr=float("nan")),
    r"beta2 in \[0, 1\)": lambda: optim.Adam([P], betas=(0.9, 1.0)),
    "momentum > 0": lambda: optim.SGD([P], lr=0.1, nesterov=True),
    "max_norm > 0": lambda: optim.clip_grad_norm([P], 0.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments(message: str) -> None:
    with pytest.raises(InputError, match=message):
        BAD[message]()


def test_a_group_may_be_added_to_an_optimizer() -> None:
    first, second, third = (Parameter(np.ones(2)) for _ in range(3))
    optimizer = optim.Adam([first], lr=0.1, eps=1e-3)
    first.grad = np.ones(2)
    optimizer.step()
    optimizer.add_param_group({"params": second, "lr": 0.5})
    optimizer.add_param_group({"params": [("third", third)], "weight_decay": 0.1})
    assert optimizer.param_groups is optimizer.groups
    assert [group["names"] for group in optimizer.param_groups] == [["0"], ["1"], ["third"]]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert [group["eps"] for group in optimizer.param_groups] == [1e-3] * 3
    for p in (first, second, third):
        p.grad = np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(second.data, 0.5, rtol=1e-2)  # a first step of Adam is lr
    state = optimizer.state_dict()
    assert int(state["0.step"]) == 2
    assert int(state["1.step"]) == 1
    resumed = optim.Adam(
        [{"params": [Parameter(np.ones(2))]} for _ in range(2)]
        + [{"params": [("third", Parameter(np.ones(2)))]}]
    )
    resumed.load_state_dict(state)
    assert [group["lr"] for group in resumed.groups] == [0.1, 0.5, 0.1]


def test_added_groups_learn_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours = [Parameter(np.ones(3)) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]
    a, b = optim.SGD(ours[:1], 0.1, momentum=0.9), torch.optim.SGD(theirs[:1], 0.1, momentum=0.9)
    for count in range(4):
        if count == 2:
            a.add_param_group({"params": ours[1:], "momentum": 0.5})
            b.add_param_group({"params": theirs[1:], "momentum": 0.5})
        if count == 3:
            for groups in (a.param_groups, b.param_groups):
                groups[1]["lr"] = 0.3
        for p, q in zip(ours, theirs, strict=True):
            p.grad, q.grad = p.data * 2, q.detach() * 2
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12)


def test_a_group_that_cannot_be_added_changes_nothing() -> None:
    p = Parameter(np.ones(2))
    optimizer = optim.SGD([("w", p)], 0.1)
    other = Parameter(np.ones(2))
    cases: list[tuple[Any, str]] = [
        ({"params": [p]}, "each parameter and each name once"),
        ({"params": [("w", other)]}, "each parameter and each name once"),
        ({"params": [other], "betas": (0.9, 0.99)}, r"options among .*got \['betas'\]"),
        ({"params": [other], "lr": -1}, "finite lr >= 0"),
        ({"params": [other], "nesterov": True}, "momentum > 0 with nesterov"),
        ({"params": [3]}, "parameters or"),
        ({"lr": 0.1}, "a dictionary with 'params' as group"),
        ([other], "a dictionary with 'params' as group"),
    ]
    for group, match in cases:
        with pytest.raises(InputError, match=rf"^\[optim\] expected .*{match}"):
            optimizer.add_param_group(group)
        assert [g["names"] for g in optimizer.groups] == [["w"]]
        assert set(optimizer.state_dict()) == set(optim.SGD([("w", other)], 0.1).state_dict())


def test_schedules_take_up_groups_that_are_added() -> None:
    optimizer = optim.SGD([Parameter(np.ones(1))], 1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": 8.0})
    schedule.step()
    assert [g["lr"] for g in optimizer.groups] == [0.25, 2.0]
    again = optim.ExponentialLR(optimizer, 0.5)
    again.load_state_dict(schedule.state_dict())
    assert [g["lr"] for g in optimizer.groups] == [0.25, 2.0]


def test_an_added_group_is_looked_after_as_the_first_one() -> None:
    class Cell(cavs.VertexFunction):
        def __init__(self) -> None:
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.two(self.one(v.pull("x", 2))))

    model = cavs.compile(Cell())
    optimizer = optim.Adagrad(model.function.one.parameters(), 0.1)
    optimizer.add_param_group({"params": model.function.two.parameters()})
    x = np.ones((1, 2), np.float32)
    before = [p.data.copy() for p in model.parameters()]
    model.step(cavs.InputGraph([[]]), optimizer, loss="y", x=x)
    assert all((p.data != old).any() for p, old in zip(model.parameters(), before, strict=True))
    model.function.two = nn.Linear(2, 2)
    with pytest.raises(cavs.CavsRuntimeError, match="two"):
        optimizer.step()


class Line(cavs.VertexFunction):
    def __init__(self) -> None:
        self.layer = nn.Linear(4, 1)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", 4)))


LATER: dict[str, tuple[Callable[[Any], optim.Optimizer], str, str]] = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), "momentum", "momentum"),
    "rmsprop": (optim.RMSprop, "momentum", "momentum"),
    "rmsprop centered": (optim.RMSprop, "centered", "grad_avg"),
}


@pytest.mark.parametrize("name", LATER)
def test_options_that_need_arrays_are_refused_later(name: str) -> None:
    """It was a KeyError."""
    make, option, array = LATER[name]
    model = cavs.compile(Line())
    optimizer = make(model.parameters())
    optimizer.param_groups[0][option] = True if option == "centered" else 0.9
    for parameter in model.parameters():
        parameter.grad = np.ones(parameter.shape, np.float32)
    graphs = [cavs.InputGraph([[]])]
    steps: list[Callable[[], Any]] = [
        optimizer.step,
        lambda: model.step(graphs, optimizer, loss="y", x=np.ones((1, 4), np.float32)),
    ]
    for step in steps:
        with pytest.raises(InputError, match=rf"^\[optim\] .* no \['{array}'\], as this .*; make"):
            step()


def test_a_state_needs_numbers_as_options() -> None:
    optimizer = optim.SGD([Parameter(np.ones(2))], lr=0.1)
    optimizer.param_groups[0]["lr"] = "fast"
    with pytest.raises(InputError, match=r"^\[optim\] expected a finite lr, got 'fast'"):
        optimizer.state_dict()


MAKERS: list[Callable[[Any], optim.Optimizer]] = [
    lambda groups: optim.SGD(groups, lr=0.1),
    lambda groups: optim.Adagrad(groups, lr=0.1),
    lambda groups: optim.Adam(groups, lr=0.1),
    lambda groups: optim.RMSprop(groups, lr=0.1),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("wrong", ["nan", "text", "shape", "rows"])
def test_a_step_that_fails_changes_nothing(
    make: Callable[[Any], optim.Optimizer], wrong: str
) -> None:
    """Groups before the one that was wrong were updated, and counts of steps went on."""
    params = [Parameter(np.ones((3, 2), np.float32)) for _ in range(3)]
    together = params if wrong == "rows" else params[:2]
    groups = [{"params": together}, *([] if wrong == "rows" else [{"params": params[2:]}])]
    optimizer = make(groups)
    for parameter in params:
        parameter.grad = np.ones((3, 2), np.float32)
    if wrong in ("nan", "text"):
        optimizer.groups[1]["lr"] = float("nan") if wrong == "nan" else "x"
    else:
        params[2].grad = np.ones(5, np.float32)
    if wrong == "rows":
        params[0].grad = cavs.RowSparse(np.int32([1]), np.ones((1, 2), np.float32), (3, 2))
    if wrong != "text":
        before = {name: array.copy() for name, array in optimizer.state_dict().items()}
    with pytest.raises((InputError, ShapeError), match=r"^\[optim\]"):
        optimizer.step()
    for parameter in params:
        assert (parameter.data == 1).all()
    if wrong != "text":
        for name, array in optimizer.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("rows", [False, True])
def test_a_step_that_is_refused_does_not_count(rows: bool) -> None:
    parameter = Parameter(np.ones((3, 2), np.float32))
    optimizer = optim.Adam([parameter], lr=0.1)
    grad: Any = np.ones((3, 2), np.float32)
    if rows:
        grad = cavs.RowSparse(np.int32([1]), np.ones((1, 2), np.float32), (3, 2))
    parameter.grad = grad
    optimizer.groups[0]["lr"] = float("nan")
    with pytest.raises(InputError, match="lr"):
        optimizer.step()
    assert optimizer.state_dict()["0.step"] == 0
    optimizer.groups[0]["lr"] = 0.1
    optimizer.step()
    assert optimizer.state_dict()["0.step"] == 1
