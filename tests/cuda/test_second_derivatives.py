"""Derivatives of derivatives on a GPU are those of the CPU: of tensors and of calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops

pytestmark = pytest.mark.gpu


def _of_tensors(device: str) -> list[np.ndarray]:
    x = cavs.tensor(np.random.default_rng(0).normal(size=(4, 4)), requires_grad=True)
    there = x.to(device)
    y = ops.softmax(there @ there.T)[[0, 2, 0]]
    z = cavs.concat([y, there[1:2, ::-1]]).T.max(axis=0).sum()
    z = z + cavs.stack([row * row.sum() for row in there.tanh()]).sum() + (there**3.0).mean()
    graphs = cavs.batch([cavs.InputGraph([[], [0]]), cavs.InputGraph([[], [0]])])
    for kind in ("mean", "max", "root"):
        z = z + (cavs.readout(graphs, there, kind) ** 2.0).sum()
    found = []
    for _ in range(2):
        (dx,) = cavs.grad(z, x, create_graph=True)
        found.append(dx.numpy())
        z = (dx * dx).sum()
    z.backward()
    return [*found, x.grad]


def test_of_tensors() -> None:
    for own, expected in zip(_of_tensors("cuda"), _of_tensors("cpu"), strict=True):
        np.testing.assert_allclose(own, expected, 1e-11, 1e-11)


class Function(cavs.VertexFunction):
    """Words and numbers, dropout, a loss of labels."""

    def __init__(self) -> None:
        self.words = nn.Embedding(4, 3, dtype="float64")
        self.layer = nn.Linear(3, 4, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        row = ops.dropout(self.words(v.pull("id", (), "int32")) * v.pull("x", 3), 0.3)
        logits = self.layer(ops.tanh(row))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", (), "int32")))


def _of_calls(device: str) -> list[np.ndarray]:
    nn.init.manual_seed(0)
    model = cavs.compile(Function(), dtype="float64", device=device, seed=3)
    x: Any = cavs.tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    graphs = cavs.batch([cavs.InputGraph([[]])] * 4)
    labels = {"id": np.array([3, 0, 3, -1], np.int32), "label": np.array([1, 2, 0, 3], np.int32)}
    xs = [x, *model.parameters()]
    loss = model(graphs, x=x.to(device), **labels)["loss"]
    found, y = [], (loss * loss).sum()
    for order in range(2):
        slopes = cavs.grad(y, xs, create_graph=order == 0)
        found += [np.array(slope.numpy()) for slope in slopes]
        y = sum((slope * slope).sum() for slope in slopes[1:])
    return found


def test_of_calls() -> None:
    for own, expected in zip(_of_calls("cuda"), _of_calls("cpu"), strict=True):
        np.testing.assert_allclose(own, expected, 1e-10, 1e-12)
