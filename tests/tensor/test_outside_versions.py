"""Versions of parameters whose memory somebody outside counts the writes of."""

from __future__ import annotations

import numpy as np
import pytest
from parameter_versions import GRAPHS, WORDS, Words, parameter, version

import cavs
from cavs.errors import InputError
from cavs.tensor import Parameter, Writing, no_grad


def test_a_version_from_outside() -> None:
    array = np.zeros(3, np.float32)
    p = Parameter(array)
    count = 4
    assert version(p) == -1
    p.follow(lambda: count)
    first = version(p)
    assert first >= 0
    assert version(p) == first
    array[0], count = 1, 5
    second = version(p)
    assert second not in (first, -1)
    assert version(p) == second
    count = -1
    assert version(p) == -1
    count = 5
    assert version(p) not in (first, second, -1)


def test_a_version_from_outside_beside_our_own() -> None:
    array = np.zeros(3, np.float32)
    p = Parameter(array)
    p.follow(lambda: 1)
    numbers = [version(p)]
    with p.writing() as values:
        values[0] = 1
    numbers.append(version(p))
    held = p.data
    assert version(p) == -1
    del held
    numbers.append(version(p))
    assert len({*numbers}) == 3
    assert min(numbers) >= 0
    writing = Writing([p], versions=True)
    with writing:
        pass
    assert writing.versions == [-1]  # outside may count what it did meanwhile only now


def test_a_version_from_outside_ends_with_the_memory() -> None:
    p = parameter()
    p.follow(lambda: -1)
    assert version(p) == -1
    p.data = np.ones(3, np.float32)
    assert version(p) >= 0
    with pytest.raises(InputError, match=r"\[parameter\] expected a function"):
        p.follow(3)  # type: ignore[arg-type]


def test_inference_follows_a_tensor_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    m = cavs.compile(Words()).eval()
    weight = m.function.embedding.weight  # type: ignore[attr-defined]
    tensor = torch.from_numpy(weight.read()[0].copy())
    weight.data = tensor.numpy()
    weight.follow(lambda: tensor._version)
    with no_grad():
        seen = []
        for n in range(3):
            y = m(GRAPHS, word=WORDS)["y"].data
            np.testing.assert_array_equal(m(GRAPHS, word=WORDS)["y"].data, y)
            seen.append(version(weight))
            plain = cavs.compile(m.function, passes=(), executor="reference").eval()
            np.testing.assert_allclose(y, plain(GRAPHS, word=WORDS)["y"].data, rtol=1e-4, atol=1e-5)
            tensor[n % 5] += 1
    assert len({*seen}) == 3
    assert min(seen) >= 0
