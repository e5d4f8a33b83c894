"""What tests of the executors set for the process, and set back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cavs
from cavs._native import core


@pytest.fixture(scope="module")
def small_pieces() -> Iterator[None]:
    """Programs that take few rows at once and share any level among the threads."""
    before = core.execution_options()
    core.set_execution_options(
        chunk_rows=3,
        chunk_bytes=1 << 20,
        min_parallel_rows=1,
        min_parallel_ns=0.0,
        min_team_ns=0.0,
        min_split_ns=0.0,
    )
    yield
    core.set_execution_options(**before)


@pytest.fixture
def threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)
