"""Writing to parameters that cavs is told of, its own among it: a change each, and no holder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parameter_versions import GRAPHS, WORDS, Words, parameter, version

import cavs
from cavs import nn, optim
from cavs.tensor import RowSparse, Writing, no_grad


def test_writing_is_one_change() -> None:
    p = parameter()
    before = version(p)
    with p.writing() as array:
        array[0] = 5
        assert np.shares_memory(array, p.read()[0])
        array[1] = 6
        assert version(p) == before  # what calls make of it meanwhile goes with this version
    after = version(p)
    assert after not in (before, -1)
    assert version(p) == after
    np.testing.assert_array_equal(p.data, [5, 6, 3])


def test_writing_counts_where_it_fails() -> None:
    p = parameter()
    before = version(p)
    with pytest.raises(ZeroDivisionError), p.writing() as array:  # noqa: PT012
        array[0] = 5
        raise ZeroDivisionError
    assert version(p) not in (before, -1)


def test_writing_beside_a_holder_leaves_no_version() -> None:
    p = parameter()
    held = p.data
    with p.writing() as array:
        array[0] = 5
    assert held[0] == 5
    assert version(p) == -1
    del held
    assert version(p) >= 0


def test_versions_after_several_are_written() -> None:
    a, b, c = parameter(), parameter(), parameter()
    held = b.data
    with Writing([a, b, c], versions=True) as arrays:
        assert [x is p.read()[0] for x, p in zip(arrays, (a, b, c), strict=True)] == [True] * 3
        c.data[0] = 7  # by somebody else, and over by now
        version(c)
    writing = Writing([a, b, c], versions=True)
    with writing:
        c.data[0] = 7
        version(c)
    assert writing.versions == [version(a), -1, -1]
    del held


def optimizer_step(
    m: cavs.Model, make: Callable[..., optim.Optimizer], detect: bool = False
) -> None:
    optimizer = make(m.parameters())
    m.zero_grad()
    with cavs.detect_nonfinite(detect):
        m(GRAPHS, word=WORDS)["loss"].sum().backward()
        optimizer.step()


def native_step(m: cavs.Model, detect: bool, **options: Any) -> None:
    with cavs.detect_nonfinite(detect):
        m.step(GRAPHS, optim.Adam(m.parameters()), word=WORDS, **options)


def step_of_rows(m: cavs.Model, make: Callable[..., optim.Optimizer]) -> None:
    for p in m.parameters():
        if len(p.shape) == 2:
            rows = np.ones((1, p.shape[1]), p.dtype)
            p.grad = RowSparse(np.zeros(1, np.int32), rows, p.shape)
        else:
            p.grad = np.ones_like(p.read()[0])
    make(m.parameters()).step()


MAKES: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda ps: optim.SGD(ps, 0.1),
    "momentum": lambda ps: optim.SGD(ps, 0.1, momentum=0.9),
    "Adagrad": optim.Adagrad,
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
    "RMSprop": optim.RMSprop,
}
CHANGES: dict[str, Callable[[cavs.Model], Any]] = {
    **{k: lambda m, f=f: optimizer_step(m, f) for k, f in MAKES.items()},
    **{
        f"{k} that looks": lambda m, f=f: optimizer_step(m, f, detect=True)
        for k, f in MAKES.items()
    },
    **{f"{k} by rows": lambda m, f=f: step_of_rows(m, f) for k, f in MAKES.items()},
    "step": lambda m: native_step(m, False),
    "step that looks": lambda m: native_step(m, True),
    "step that clips": lambda m: native_step(m, False, clip_norm=1e-3),
    "load_state_dict": lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}),
    "init": lambda m: [nn.init.normal_(p) for p in m.parameters()],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_cavs_writes_it_counts(change: Callable[[cavs.Model], Any]) -> None:
    m = cavs.compile(Words())
    before = {name: version(p) for name, p in m.named_parameters()}
    assert min(before.values()) >= 0
    change(m)
    for name, p in m.named_parameters():
        assert version(p) not in (before[name], -1), name


def test_layers_count_what_they_are_given() -> None:
    embedding = nn.Embedding(3, 2, values=np.ones((3, 2)))
    assert version(embedding.weight) >= 0
    assert embedding.weight.data.min() == 1


def test_a_forward_that_waits_for_its_backward_holds_nothing_that_writes() -> None:
    m = cavs.compile(Words())
    loss = m(GRAPHS, word=WORDS)["loss"].sum()
    assert all(version(p) >= 0 for p in m.parameters())
    loss.backward()


def test_reading_changes_nothing() -> None:
    m = cavs.compile(Words())
    before = [version(p) for p in m.parameters()]
    m(GRAPHS, word=WORDS)["loss"].sum().backward()
    m.eval()
    with no_grad():
        m(GRAPHS, word=WORDS)
    m.zero_grad()
    repr([*m.parameters()])
    assert [version(p) for p in m.parameters()] == before
