"""Where memory of a GPU runs out: one clear MemoryError at each place, and the model is usable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
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


FOR_EVER = 1 << 40


def each_failure(work: Callable[[], Any], count: int = FOR_EVER) -> Iterator[bool]:
    """Runs `work` with `count` failing requests for memory, of which the first comes later each
    time, until there is none. Gives whether an error was raised."""
    for after in range(1000):
        core.release_memory()
        said = None
        with failing_allocations(after, count) as failed:
            try:
                work()
            except MemoryError as error:
                said = str(error)
        if failed() == 0:
            assert after > 0
            return
        assert said is None or MESSAGE.fullmatch(said), said
        yield said is not None
    raise AssertionError("it takes memory without end")


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_first_call_of_a_model() -> None:
    """And all that is prepared once, at each place where memory is taken."""
    expected = Work().gradients()
    raised = list(each_failure(lambda: Work().gradients()))
    assert all(raised)
    assert len(raised) > 10
    assert_same(Work().gradients(), expected)


@pytest.mark.parametrize("name", ["infer", "gradients", "move"])
def test_a_model_is_as_it_was(name: str) -> None:
    work = Work()
    expected = getattr(work, name)()
    for _ in each_failure(getattr(work, name)):
        assert_same(getattr(work, name)(), expected)


@pytest.mark.parametrize("name", ["step", "calls"])
def test_a_training_step_happens_or_does_not(name: str) -> None:
    work, other = Work(), Work()
    before = work.parameters()
    for raised in each_failure(getattr(work, name)):
        found = work.parameters()
        if not raised or not all(np.array_equal(x, y) for x, y in zip(found, before, strict=True)):
            assert_same(found, getattr(other, name)())
        assert_same(getattr(work, name)(), getattr(other, name)())
        before = work.parameters()


@pytest.mark.parametrize("name", ["infer", "gradients", "step"])
def test_one_failure_is_no_error_where_memory_is_kept(name: str) -> None:
    """What the engine keeps is given back then, and the call goes on."""
    work, other = Work(), Work()
    getattr(work, name)()
    getattr(other, name)()
    places = each_failure(getattr(work, name), 1)
    for raised in places:
        getattr(other, name)()
        assert not raised
    getattr(other, name)()  # as the last, in which nothing failed
    assert_same(work.parameters(), other.parameters())


def test_tensors() -> None:
    expected = on_tensors()
    for _ in each_failure(on_tensors):
        assert_same(on_tensors(), expected)


def test_loading_a_model(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    cavs.save(Work().model, file)
    raised = list(each_failure(lambda: cavs.load(file, device="cuda")))
    assert all(raised)
    assert raised
    assert cavs.load(file, device="cuda").device == "cuda:0"


def test_messages_say_what_would_fit() -> None:
    work = Work()
    with limited_memory(5_000), pytest.raises(MemoryError) as error:
        work.gradients()
    said = str(error.value)
    assert re.search(r"expected .* of memory of cuda:0|for \d+ bytes", said), said
    assert "free of" in said
    assert said.endswith("; use smaller batches or a smaller model")
    work.gradients()
