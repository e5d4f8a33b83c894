"""Fixtures of the kernel tests."""

from collections.abc import Iterator

import numpy as np
import pytest

from cavs._native import core


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20180711)


@pytest.fixture
def keep_denormals() -> Iterator[None]:
    """Calls in float32 do not take denormals for zero."""
    before = core.flush_denormals()
    core.set_flush_denormals(False)
    yield
    core.set_flush_denormals(before)
