"""Fixtures for tests of ``cavs.torch``."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def gpu() -> Iterator[Any]:
    """Tensors are on a GPU, see `torch_gpu`."""
    pytest.importorskip("torch")
    from torch_gpu import gpus

    with gpus() as found:
        yield found
