"""Denormal numbers, and native calls that make some, for tests of what becomes of them."""

from typing import Any

import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.core.attributes import DropoutAttributes

NEEDS_FLUSHING = pytest.mark.skipif(
    not core.can_flush_denormals(), reason="this processor cannot take denormals for zero"
)
DTYPES = ["float32", "float64"]
# A denormal number, normal ones whose product is denormal, and what makes a denormal normal again.
# Of their own dtypes: where the caller flushes, NumPy's conversion would make a zero of the first.
TINY: dict[str, Any] = {"float32": np.float32(1e-39), "float64": np.float64(1e-310)}
FACTORS = {"float32": (1e-25, 1e-15), "float64": (1e-180, 1e-131)}
GROWTH = 1e10


def numpy_keeps_denormals() -> bool:
    x = np.full(64, TINY["float32"], np.float32)
    return bool((x * np.float32(GROWTH)).all() and (np.float32(1.2e-38) * np.float32(0.5)) != 0)


def check(got: np.ndarray, kept: Any, flush: bool) -> None:
    """All of `got` is `kept`, or zero where the dtype and the setting say so."""
    assert got.size
    if got.dtype == np.float32 and flush:
        assert not got.any()
    else:
        np.testing.assert_allclose(got, kept, rtol=1e-3)


def scalar(dtype: str, value: float) -> Any:
    return np.dtype(dtype).type(value)


class Layer(cavs.VertexFunction):
    """A product, an elementwise group and a sum over children."""

    def __init__(self, width: int, dtype: str) -> None:
        self.width = width
        self.w = cavs.nn.Linear(width, width, bias=False, dtype=dtype)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.width)
        children = v.gather(h=self.width).h.sum()
        v.scatter(h=x)
        v.push(product=self.w(x), grown=x * GROWTH, children=children * GROWTH)


class Layers:
    """A model, graphs of an inner vertex with two leaves each, and its calls."""

    def __init__(self, dtype: str, width: int, count: int) -> None:
        self.dtype, self.width = dtype, width
        self.graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])] * count)
        self.model = cavs.compile(Layer(width, dtype), dtype=dtype)
        (self.weight,) = self.model.parameters()

    def __call__(self, x: float, weight: float) -> tuple[dict[str, Any], cavs.Tensor]:
        self.weight.data = np.full((self.width, self.width), weight, self.dtype)
        rows = self.graphs.num_vertices
        pulled = cavs.tensor(np.full((rows, self.width), x, self.dtype), requires_grad=True)
        return self.model(self.graphs, x=pulled), pulled


def dense(name: str, dtype: str, size: int) -> list[np.ndarray]:
    """Updates a denormal parameter, and optimiser's states, by a gradient of zeros."""
    param, grad, first, second = (np.full(size, v, dtype) for v in (TINY[dtype], 0, 0, 0))
    if name == "sgd":
        core.update(core.SgdSettings(0.1), [param], [grad])
    elif name == "momentum":
        core.update(core.SgdSettings(0.1, 0.9, 1e-4), [param], [grad], [[first]])
    elif name == "adagrad":
        core.update(core.AdagradSettings(0.1), [param], [grad], [[first]])
    else:
        core.update(core.AdamSettings(0.1), [param], [grad], [[first], [second]], [1])
    return [param]


def by_rows(name: str, dtype: str, size: int) -> list[np.ndarray]:
    """The same for each second row."""
    rows = size // 8
    param, first, second = (np.full((rows, 8), v, dtype) for v in (TINY[dtype], 0, 0))
    ids = np.arange(0, rows, 2, dtype=np.int32)
    grad = np.zeros((len(ids), 8), dtype)
    if name == "sgd":
        core.update_rows(core.SgdSettings(0.1), param, ids, grad)
    elif name == "adagrad":
        core.update_rows(core.AdagradSettings(0.1), param, ids, grad, [first])
    else:
        core.update_rows(core.AdamSettings(0.1), param, ids, grad, [first, second])
    assert (param[1::2] == TINY[dtype]).all()
    return [param[::2]]


def kept_by_graph(rows: int) -> dict[str, Any]:
    """What dropout is told that keeps all elements of a row per graph."""
    random = {"graph_key": np.arange(rows)}
    attributes = DropoutAttributes(1, 0.0)
    return {"attributes": attributes, "space": core.SpaceKind.GRAPH, "random": random}
