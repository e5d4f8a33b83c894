"""Ctrl-C during a long native call: noticed between levels, and nothing is left half done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cavs

LEVELS, SIZE = 400_000, 64
_TRIES = 5  # other work on the machine may make one slow


class Chain(cavs.VertexFunction):
    """Several products for each vertex."""

    def __init__(self) -> None:
        self.layers = cavs.nn.Linear(SIZE, SIZE)

    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=SIZE).h.sum() + v.pull("x", 1)
        for _ in range(4):
            h = cavs.ops.tanh(self.layers(h))
        v.scatter(h=h)
        v.push(y=h.sum())


def graphs(levels: int = LEVELS) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph.from_parents(np.r_[1:levels, -1])])


@pytest.fixture
def threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


@pytest.fixture
def after() -> Iterator[Callable[[float, Callable[..., Any]], None]]:
    """Has a signal handler run so many seconds from then on."""
    handler = signal.getsignal(signal.SIGALRM)

    def start(seconds: float, handle: Callable[..., Any]) -> None:
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interrupted(call: Callable[[], Any], after: Any, seconds: float) -> float:
    """How long a call took that was interrupted after so many seconds."""
    after(seconds, interrupt)
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        call()
    return time.perf_counter() - start


def nn_seed() -> None:
    cavs.nn.init.manual_seed(0)


def interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("count", [1, 2])
def test_a_long_call_ends_soon(threads: None, after: Any, count: int) -> None:
    cavs.set_num_threads(count)
    nn_seed()
    model, batch = cavs.compile(Chain()), graphs()
    x = np.full((LEVELS, 1), 0.1, np.float32)
    expected: list[Any] = []

    def call() -> None:
        with cavs.no_grad():
            expected.append(model(batch, x=x)["y"].numpy())

    call()  # and compile
    whole = timed(call)
    assert any(interrupted(call, after, whole / 6) < 0.7 * whole for _ in range(_TRIES))
    call()
    np.testing.assert_array_equal(expected[0], expected[-1])


@pytest.mark.parametrize("count", [1, 2])
def test_sums_over_many_pairs_end_soon(threads: None, after: Any, count: int) -> None:
    cavs.set_num_threads(count)
    x = np.random.default_rng(0).normal(size=(25_000, 2)).astype(np.float32)
    call = lambda: cavs.pairwise_kernel_sum(x, x, 1.0)  # noqa: E731
    whole = timed(call)
    assert any(interrupted(call, after, whole / 6) < 0.7 * whole for _ in range(_TRIES))


def test_an_interrupted_step_changes_no_parameter(after: Any) -> None:
    models, optimizers = [], []
    for _ in range(2):
        nn_seed()
        models.append(cavs.compile(Chain()))
        optimizers.append(cavs.optim.Adam(models[-1].parameters(), lr=0.01))
    levels = LEVELS // 4
    batch, x = graphs(levels), np.full((levels, 1), 0.1, np.float32)

    def step(i: int) -> None:
        models[i].step(batch, optimizers[i], loss="y", x=x)

    for i in (0, 1):
        step(i)  # and compile
    whole = timed(lambda: step(0))
    step(1)
    for share in (0.1, 0.5):  # in forward, and in backward
        before = [p.numpy().copy() for p in models[0].parameters()]
        soon = (share + 0.9 * (1 - share)) * whole
        assert any(interrupted(lambda: step(0), after, whole * share) < soon for _ in range(_TRIES))
        for p, values in zip(models[0].parameters(), before, strict=True):
            np.testing.assert_array_equal(p.numpy(), values)
    step(0)
    step(1)
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_a_handler_that_only_notes_the_signal_does_not_end_the_call(
    threads: None, after: Any
) -> None:
    """As of ``cavs train``, which saves after the batch; such a handler may make calls, too."""
    cavs.set_num_threads(2)
    nn_seed()
    model, batch, small = cavs.compile(Chain()), graphs(), graphs(5)
    x = np.full((LEVELS, 1), 0.1, np.float32)
    noted: list[float] = []
    inner: list[Any] = []

    def note(number: int, frame: Any) -> None:
        noted.append(time.perf_counter())
        inner.append(model(small, x=x[:5])["y"].numpy())

    model(batch, x=x)  # and compile
    whole = timed(lambda: model(batch, x=x))
    early = []
    for _ in range(_TRIES):
        noted.clear()
        after(whole / 6, note)
        y = model(batch, x=x)["y"].numpy()
        early.append(bool(noted) and time.perf_counter() - noted[0] > whole / 10)
        if early[-1]:  # it was noted while the call went on
            break
    assert early[-1]
    np.testing.assert_array_equal(inner[0], model(small, x=x[:5])["y"].numpy())
    np.testing.assert_array_equal(y, model(batch, x=x)["y"].numpy())


def test_calls_of_other_threads_go_on(after: Any) -> None:
    nn_seed()
    model, batch = cavs.compile(Chain()), graphs()
    x = np.full((LEVELS, 1), 0.1, np.float32)
    expected = model(batch, x=x)["y"].numpy()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(model(batch, x=x)["y"].numpy()))
    thread.start()
    after(0.15, interrupt)

    def keep_calling() -> None:
        while True:
            model(batch, x=x)

    with pytest.raises(KeyboardInterrupt):
        keep_calling()
    thread.join()
    np.testing.assert_array_equal(found[0], expected)
