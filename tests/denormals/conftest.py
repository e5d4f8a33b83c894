"""Settings that tests of denormal numbers run under."""

from collections.abc import Iterator

import pytest
from denormal_numbers import numpy_keeps_denormals

import cavs


@pytest.fixture(params=[True, False], ids=["flush", "keep"])
def flush(request: pytest.FixtureRequest) -> Iterator[bool]:
    assert cavs.get_flush_denormals()
    cavs.set_flush_denormals(request.param)
    yield request.param
    cavs.set_flush_denormals(True)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = cavs.get_num_threads()
    cavs.set_num_threads(request.param)
    yield request.param
    cavs.set_num_threads(before)


@pytest.fixture(autouse=True)
def _caller_keeps_denormals() -> Iterator[None]:
    assert numpy_keeps_denormals()
    yield
    assert numpy_keeps_denormals()
