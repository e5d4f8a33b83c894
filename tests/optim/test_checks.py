"""An update that would leave what is not finite is refused before it, and no other is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cavs
from cavs import ops, optim
from cavs.errors import NonFiniteError

Make = Callable[..., optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": optim.SGD,
    "decay": lambda p, lr: optim.SGD(p, lr, weight_decay=0.1),
    "nesterov": lambda p, lr: optim.SGD(p, lr, momentum=0.9, nesterov=True),
    "adagrad": lambda p, lr: optim.Adagrad(p, lr, weight_decay=0.1),
    "adagrad without eps": lambda p, lr: optim.Adagrad(p, lr, eps=0.0),
    "adam": lambda p, lr: optim.Adam(p, lr, weight_decay=0.1),
    "adam without eps": lambda p, lr: optim.Adam(p, lr, eps=0.0),
    "adamw": lambda p, lr: optim.AdamW(p, lr, weight_decay=0.1),
    "rmsprop": lambda p, lr: optim.RMSprop(p, lr, weight_decay=0.1),
    "rmsprop without eps": lambda p, lr: optim.RMSprop(p, lr, eps=0.0),
    "rmsprop centered": lambda p, lr: optim.RMSprop(p, lr, centered=True),
    "rmsprop with all": lambda p, lr: optim.RMSprop(p, lr, momentum=0.9, centered=True),
}
GREATEST = {"float32": 3e38, "float64": 1.7e308}


class Own(optim.Optimizer):
    """A user's: p = p * p - lr * grad."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr)

    def _new_state(self, parameter: cavs.Parameter, group: Any) -> dict[str, Any]:
        return {"steps": np.zeros(1)}

    def _update(self, values: Any, grads: Any, states: Any, group: Any) -> None:
        for value, grad, state in zip(values, grads, states, strict=True):
            value[...] = value * value - group["lr"] * grad
            state["steps"] += 1

    def _update_rows(self, parameter: Any, grad: Any, state: Any, group: Any) -> None:
        rows = parameter.data
        rows[grad.indices] = rows[grad.indices] ** 2 - group["lr"] * grad.values
        state["steps"] += 1


def parameter(value: float = 1.0, shape: tuple[int, ...] = (4, 3), dtype: str = "float32") -> Any:
    return cavs.Parameter(np.full(shape, value, dtype))


def some_rows(value: float, dtype: str = "float32") -> cavs.RowSparse:
    return cavs.RowSparse(np.array([1, 3], np.int32), np.full((2, 3), value, dtype), (4, 3))


def refused(optimizer: optim.Optimizer) -> str:
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        optimizer.step()
    return str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [*OPTIMIZERS, "own"])
@pytest.mark.parametrize("by_rows", [False, True])
def test_a_gradient_that_is_not_finite_changes_no_parameter(
    value: float, kind: str, by_rows: bool
) -> None:
    first, second = parameter(), parameter()
    optimizer = {**OPTIMIZERS, "own": Own}[kind]([("a", first), ("b", second)], lr=0.1)
    first.grad = np.ones((4, 3), np.float32)
    second.grad = some_rows(1.0) if by_rows else np.ones((4, 3), np.float32)
    elements = second.grad.values if by_rows else second.grad
    elements[1, 2] = value
    before = {n: a.tobytes() for n, a in optimizer.state_dict().items()}
    message = refused(optimizer)
    assert f"expected a finite gradient of parameter 'b', got {value} at (1, 2)" in message
    assert "no parameter was changed" in message
    assert (first.data == 1).all()
    assert (second.data == 1).all()
    assert {n: a.tobytes() for n, a in optimizer.state_dict().items()} == before


@pytest.mark.parametrize(
    ("make", "lr", "grad"),
    [
        (optim.SGD, 1e10, 1e30),
        (OPTIMIZERS["nesterov"], 1e10, 1e30),
        (optim.Adagrad, 3e38, 1e5),
        (OPTIMIZERS["adamw"], 1e37, 1e5),
        (Own, 1e10, 1e30),
    ],
)
@pytest.mark.parametrize("by_rows", [False, True])
def test_an_update_that_overflows_changes_no_parameter(
    make: Make, lr: float, grad: float, by_rows: bool
) -> None:
    first, second = parameter(), parameter(-3e38)
    optimizer = make([("a", first), ("b", second)], lr=lr)
    first.grad = np.full((4, 3), 1e-20, np.float32)
    second.grad = some_rows(grad) if by_rows else np.full((4, 3), grad, np.float32)
    before = {n: a.tobytes() for n, a in optimizer.state_dict().items()}
    with np.errstate(all="ignore"):
        message = refused(optimizer)
    assert "expected a finite parameter 'b' after the update, got " in message
    assert (first.data == 1).all()
    assert (second.data == np.float32(-3e38)).all()
    assert {n: a.tobytes() for n, a in optimizer.state_dict().items()} == before
    with np.errstate(all="ignore"):
        optimizer.step()  # as ever
    assert not np.isfinite(second.data).all()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adagrad, optim.Adam, optim.AdamW, optim.RMSprop])
@pytest.mark.parametrize("rates", [{"lr": 3e38}, {"lr": 1e300}, {"lr": 0.1, "weight_decay": 1e300}])
def test_rates_that_are_infinite_in_float32_are_refused_with_gradients_of_zero(
    kind: Callable[..., optim.Optimizer], rates: dict[str, float]
) -> None:
    """Infinity times zero is NaN: Adam divides 3e38 by 1 - beta1, which is 0.1."""
    p = parameter(0.0, dtype="float32")
    p.grad = np.zeros((4, 3), np.float32)
    optimizer = kind([("p", p)], **rates)
    with cavs.detect_nonfinite(), contextlib.suppress(NonFiniteError):
        optimizer.step()
    assert np.isfinite(p.data).all()


MAGNITUDES = st.sampled_from([0.0, 1e-45, 1e-30, 1e-19, 1e-8, 1.0, 1e4, 1e10, 1e19, 1e30, 3e38])
NUMBERS = st.builds(
    lambda x, sign, factor: x * sign * factor,
    MAGNITUDES,
    st.sampled_from([-1.0, 1.0]),
    st.floats(0.1, 1.0),
)


@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    dtype=st.sampled_from(sorted(GREATEST)),
    lr=MAGNITUDES,
    start=NUMBERS,
    steps=st.lists(
        st.tuples(NUMBERS, st.booleans(), st.sampled_from(["", "write", "load"])),
        min_size=1,
        max_size=6,
    ),
    written=NUMBERS,
)
@settings(max_examples=400, deadline=None)
def test_refused_exactly_where_a_parameter_would_not_be_finite(
    kind: str,
    dtype: str,
    lr: float,
    start: float,
    steps: list[tuple[float, bool, str]],
    written: float,
) -> None:
    """Against the update itself, done on a copy; parameters and states written in between."""
    scale = 1.0 if dtype == "float32" else 1e150
    checked, plain = (parameter(start * scale, dtype=dtype) for _ in range(2))
    optimizers = [OPTIMIZERS[kind]([("p", p)], lr=lr) for p in (checked, plain)]
    rng = np.random.default_rng(0)
    for value, by_rows, between in steps:
        spread = rng.uniform(-1, 1, (4, 3))
        for p, optimizer in zip((checked, plain), optimizers, strict=True):
            if between == "write":
                p.data[2, 1] = written * scale
            elif between == "load":
                state = {n: a.copy() for n, a in optimizer.state_dict().items()}
                for array in state.values():
                    if array.shape == (4, 3):
                        array[1, 2] = abs(written) * scale
                optimizer.load_state_dict(state)
            values = (value * scale * spread).astype(dtype)
            p.grad = values
            if by_rows:
                p.grad = cavs.RowSparse(np.array([0, 2], np.int32), values[[0, 2]], (4, 3))
        with np.errstate(all="ignore"):
            optimizers[1].step()
            if np.isfinite(plain.data).all():
                with cavs.detect_nonfinite():
                    optimizers[0].step()
                assert checked.data.tobytes() == plain.data.tobytes()
            else:
                before = checked.data.tobytes()
                refused(optimizers[0])
                assert checked.data.tobytes() == before
                return


NEAR_THE_END = np.float32(-3.4028e38)


def test_what_another_holder_writes_is_seen() -> None:
    p = parameter()
    held = p.data
    optimizer = optim.SGD([("p", p)], lr=1.0)
    with cavs.detect_nonfinite():
        for _ in range(3):
            p.grad = np.ones((4, 3), np.float32)
            optimizer.step()
    held[0, 0] = NEAR_THE_END
    p.grad = np.full((4, 3), 1e35, np.float32)  # small beside what was there before
    assert "parameter 'p'" in refused(optimizer)


class Product(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = parameter(shape=(3,))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(loss=ops.sum(v.pull("x", 3) * self.w))


def test_what_another_holder_writes_is_seen_by_native_steps() -> None:
    model = cavs.compile(Product())
    w = model.function.w
    held = w.data
    optimizer = optim.SGD(model.named_parameters(), lr=1e36)

    def step(x: float) -> None:
        graphs, rows = [cavs.InputGraph([[]])], np.full((1, 3), x, np.float32)
        model.step(graphs, optimizer, x=rows)

    with cavs.detect_nonfinite():
        for _ in range(3):
            step(0.0)
        held[0] = NEAR_THE_END
        held[1:] = -1.0
        with pytest.raises(NonFiniteError, match="finite parameter 'w' after the update"):
            step(0.01)
    assert held[0] == NEAR_THE_END
    assert (held[1:] == -1).all()


def test_another_optimizer_of_the_same_parameter_is_seen() -> None:
    p = parameter()
    first, second = optim.SGD([("p", p)], lr=1.0), optim.SGD([("p", p)], lr=1.0)
    for optimizer, value in ((first, 1.0), (second, 3e38), (first, 1e38)):
        p.grad = np.full((4, 3), value, np.float32)
        if value == 1e38:
            assert "parameter 'p'" in refused(optimizer)
        else:
            with cavs.detect_nonfinite():
                optimizer.step()


def test_gradients_of_any_layout() -> None:
    p = parameter()
    optimizer = optim.SGD([("p", p)], lr=1.0)
    grad = np.ones((3, 8), np.float32)[:, ::2].T
    grad[3, 1] = np.nan
    p.grad = grad
    assert "got nan at (3, 1), 1 of 12 elements" in refused(optimizer)
