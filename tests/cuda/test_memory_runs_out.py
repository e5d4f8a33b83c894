"""Where memory of a GPU runs out: one clear MemoryError at each place, and the model can be used on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cuda_counts import failing_allocations, is_emulated, limited_memory

import cavs
from cavs import optim
from cavs._native import core

pytestmark = pytest.mark.gpu

CHAINS = cavs.batch([cavs.InputGraph([[], *([i] for i in range(n - 1))]) for n in (5, 1, 3)])
INPUTS = {
    "word": np.array([0, 3, -1, 3, 6, 2, 0, 1, 5], np.int32),
    "label": np.array([0, 2, 1, -1, 0, 1, 2, 0, 1], np.int32),
}
MESSAGE = re.compile(r"\[\w+\] expected .+, got .+; .+")


@pytest.fixture(autouse=True)
def _emulated() -> Iterator[None]:
    if not is_emulated():
        pytest.skip("memory of a GPU cannot be limited")
    yield
    core.release_memory()


class Work:
    """A model and an optimizer, and what is done with them again and again."""

    def __init__(self) -> None:
        cavs.nn.init.manual_seed(0)
        self.model = cavs.compile(cavs.models.LSTM(7, 4, 5, 3), device="cuda", seed=1)
        self.optimizer = optim.Adam(self.model.named_parameters(), 0.1)

    def infer(self) -> list[np.ndarray]:
        with cavs.no_grad():
            return [y.numpy() for y in self.model(CHAINS, **INPUTS).values()]

    def gradients(self) -> list[np.ndarray]:
        self.model.zero_grad()
        self.model(CHAINS, **INPUTS)["loss"].sum().backward()
        norm = optim.clip_grad_norm(self.model.parameters(), 1.0)
        grads = [p.grad for p in self.model.parameters()]
        return [np.float64(norm), *(np.asarray(g) for g in map(dense, grads))]

    def calls(self) -> list[np.ndarray]:
        self.gradients()
        self.optimizer.step()
        return self.parameters()

    def step(self) -> list[np.ndarray]:
        self.model.step(CHAINS, self.optimizer, clip_norm=1.0, **INPUTS).item()
        return self.parameters()

    def move(self) -> list[np.ndarray]:
        self.model.to("cpu").to("cuda")
        return self.parameters()

    def parameters(self) -> list[np.ndarray]:
        cavs.cuda.synchronize()
        return [p.numpy() for p in self.model.parameters()]


def dense(grad: Any) -> Any:
    return grad if isinstance(grad, cavs.RowSparse) else cavs.Tensor(grad)


def on_tensors() -> list[np.ndarray]:
    x = cavs.Tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    y = x.to("cuda")
    z = cavs.concat([y.softmax() @ y.T, y[[0, 0, 2, 3]].exp()], axis=1)
    (z * z).sum().backward()
    assert x.grad is not None
    return [z.numpy(), x.grad]


def each_failure(work: Callable[[], Any], count: int) -> Iterator[int]:
    """Runs `work` with `count` failing requests, later ones each time, until none is left."""
    for after in range(400):
        failed = False
        core.release_memory()
        with failing_allocations(after, count):
            try:
                work()
            except MemoryError as error:
                failed = True
                assert MESSAGE.fullmatch(str(error)), str(error)
        if not failed and count > 1:
            return
        yield after
        if count == 1 and after >= 30:
            return
    raise AssertionError("it takes memory without end")


WORK = ["infer", "gradients"]


@pytest.mark.parametrize("name", WORK)
def test_a_call_without_memory(name: str) -> None:
    """The first call of a model, so that all that is prepared once is prepared then."""
    expected = getattr(Work(), name)()
    places = 0
    for _ in each_failure(lambda: getattr(Work(), name)(), 1_000_000):
        places += 1
    assert places > 5
    work = Work()
    for _ in each_failure(getattr(work, name), 1_000_000):
        for found, value in zip(getattr(work, name)(), expected, strict=True):
            np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("name", [*WORK, "calls", "step"])
def test_one_failure_is_mended(name: str) -> None:
    """What the engine keeps is given back, and the call goes on."""
    reference, work = Work(), Work()
    for _ in range(3):
        for found, value in zip(getattr(work, name)(), getattr(reference, name)(), strict=True):
            np.testing.assert_array_equal(found, value)
        core.release_memory()
