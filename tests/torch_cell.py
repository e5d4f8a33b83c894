"""A small vertex function for tests of ``cavs.torch``, and a batch for it."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops

__all__ = ["GRAPHS", "Cell", "Noisy", "arrays", "inputs", "reference"]


class Cell(cavs.VertexFunction):
    """Sums over children, with an embedding and a float input; `fixed` depends on no parameter."""

    def __init__(self, seed: int = 0, words: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.embedding = nn.Embedding(words, 4)
        self.layers = [nn.Linear(4, 4), nn.Linear(4, 4, bias=False)]
        self.unused = nn.Parameter(np.ones(2, np.float32))
        for parameter in self.parameters():
            with parameter.writing() as values:
                values[...] = rng.normal(size=values.shape)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        e = self.embedding(v.pull("word", dtype="int32"))
        below = v.gather(h=4).h.sum()
        h = ops.tanh(self.layers[0](e * x) + self.layers[1](below))
        v.scatter(h=h)
        v.push(h=h, square=h * h, fixed=x * 2.0)


class Noisy(cavs.VertexFunction):
    """With dropout."""

    def __init__(self) -> None:
        self.u = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.dropout(self.u(v.pull("x", 4)), 0.5)
        v.push(h=h)


GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1], [2]]), cavs.InputGraph([[1], []]), cavs.InputGraph([[]])]
)


def arrays(graphs: cavs.GraphBatch = GRAPHS, seed: int = 0, dtype: Any = None) -> dict[str, Any]:
    """Inputs of :class:`Cell` as arrays, some words missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(graphs.num_vertices, 4)).astype(dtype or np.float32)
    return {"word": rng.integers(-1, 7, graphs.num_vertices), "x": x}


def inputs(graphs: cavs.GraphBatch = GRAPHS, seed: int = 0, dtype: Any = None) -> dict[str, Any]:
    """The same as tensors; the floats want gradients."""
    import torch

    given = {name: torch.from_numpy(x) for name, x in arrays(graphs, seed, dtype).items()}
    given["x"].requires_grad_()
    return given


def reference(
    function: cavs.VertexFunction,
    graphs: cavs.GraphBatch,
    given: dict[str, Any],
    cotangents: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Outputs, and gradients by name, of the reference executor on a copy of the parameters."""
    from copy import deepcopy

    copied = deepcopy(function)
    for parameter in copied.parameters():
        parameter.requires_grad = True
    model = cavs.compile(copied, executor="reference", dtype=copied.parameters()[0].dtype)
    x = cavs.tensor(given["x"], requires_grad=True)
    outputs = model(graphs, **{**given, "x": x})
    values = {name: y.numpy().copy() for name, y in outputs.items()}
    total = sum((outputs[name] * dy).sum() for name, dy in cotangents.items())
    total.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        if isinstance(grad, cavs.RowSparse):
            grad = grad.to_dense()
        gradients[name] = grad
    gradients["x"] = x.grad
    return values, gradients
