"""Python does as much for any graphs: assembling a batch, levels and vertices are C++'s work."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import data
from cavs.models import ChildSumTreeLSTM

FEW, MANY = [0, 1], range(2, 42)  # numbers of the samples: 4 vertices in 2 levels, 1,980 in 69
LENGTHS = [2, 2, *range(30, 70)]


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """How often each function of Python was called."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            found[f"{frame.f_code.co_filename}:{frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def sample(length: int) -> tuple[cavs.InputGraph, dict[str, Any]]:
    inputs = {"word": np.arange(length, dtype=np.int32) % 50, "label": np.zeros(length, np.int32)}
    return data.chain_graph(length), inputs


@pytest.mark.parametrize("way", ["step", "separate calls", "inference"])
def test_python_does_as_much_for_any_graphs(way: str) -> None:
    dataset = data.Dataset.from_samples([sample(length) for length in LENGTHS])
    model = cavs.compile(ChildSumTreeLSTM(50, 8, 8, 3))
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.1)

    def work(numbers: Sequence[int]) -> None:
        graphs, arrays = dataset.batch(numbers)
        inputs: dict[str, Any] = dict(arrays)
        if way == "step":
            model.step(graphs, optimizer, **inputs)
        elif way == "inference":
            with cavs.no_grad():
                model(graphs, **inputs)
        else:
            model(graphs, **inputs)["loss"].sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    for numbers in (FEW, list(MANY)):  # what is done once is done
        work(numbers)
    few = calls_of(lambda: work(FEW))
    assert few == calls_of(lambda: work(list(MANY)))
    assert few.total() > 50
