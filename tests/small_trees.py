"""A small model over small trees, in a module that worker processes can import too."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs.models import ChildSumTreeLSTM

__all__ = [
    "CLASSES",
    "VOCABULARY",
    "compile_another",
    "in_worker",
    "sample",
    "train",
    "tree_lstm",
    "trees",
]

VOCABULARY, CLASSES = 40, 5


def tree_lstm(**options: Any) -> cavs.Model:
    return cavs.compile(ChildSumTreeLSTM(VOCABULARY, 8, 16, CLASSES), **options)


def trees(count: int = 6) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * count)


def sample(graphs: cavs.GraphBatch, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    count = graphs.num_vertices
    return {
        "word": random.integers(-1, VOCABULARY, count).astype(np.int32),
        "label": random.integers(-1, CLASSES, count).astype(np.int32),
    }


def train(model: cavs.Model, graphs: cavs.GraphBatch, inputs: dict[str, np.ndarray]) -> float:
    model.zero_grad()
    loss = model(graphs, **inputs)["loss"].sum()
    loss.backward()
    cavs.optim.SGD(model.parameters(), lr=0.01).step()
    return float(loss.item())


def compile_another() -> None:
    """Compiles and runs, as may be done within another function's forward."""
    graphs = trees(1)
    model = tree_lstm()
    assert np.isfinite(model(graphs, **sample(graphs))["loss"].numpy()).all()


def in_worker(seed: int) -> float:
    """A step in a process of its own."""
    graphs = trees()
    return train(tree_lstm(), graphs, sample(graphs, seed))
