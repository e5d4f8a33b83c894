"""One value for each graph of a batch, from those of its vertices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import instance, is_among
from cavs.errors import GraphError, InputError, ShapeError
from cavs.scheduler import GraphBatch
from cavs.tensor import Tensor, record

KINDS = ("sum", "mean", "max", "root")


def readout(graphs: GraphBatch, x: Tensor, kind: str = "root") -> Tensor:
    """Reduces a value of the vertices to one of the graphs; gradients flow back.

    Args:
        graphs: the batch.
        x: (vertices, ...): a tensor, or an array, which gets no gradient.
        kind: ``sum``, ``mean`` or ``max`` over the vertices of each graph, zeros for a graph
            without any; equal maxima share the gradient evenly. ``root``: the value of the only
            vertex without parents.

    Returns:
        (graphs, ...).

    Raises:
        InputError: another kind, or no GraphBatch and Tensor; ShapeError: `x` has not a row for
        each vertex; GraphError: a graph has not one root, names it.
    """
    instance("readout", "graphs", graphs, GraphBatch, "a cavs.GraphBatch")
    given: Any = x
    if not isinstance(given, Tensor):
        x = Tensor(given)
    if not is_among(kind, KINDS):
        raise InputError(
            f"[readout] expected one of {', '.join(KINDS)}, got {kind!r}; choose one of these"
        )
    if x.shape[:1] != (graphs.num_vertices,):
        raise ShapeError(
            f"[readout] expected a row for each of {graphs.num_vertices} vertices, got shape "
            f"{x.shape}; pass an output of these graphs"
        )
    if kind == "root":
        return _take(x, only_roots(graphs))
    sizes = np.diff(graphs.ptr)
    owner = np.repeat(np.arange(graphs.num_graphs), sizes)
    if kind == "max":
        return _max(graphs, x, owner)
    scale = np.ones(len(sizes), x.dtype)
    if kind == "mean":
        scale = (1 / np.maximum(sizes, 1)).astype(x.dtype)
    weights = scale.reshape(-1, *[1] * (x.ndim - 1))
    total = np.zeros((graphs.num_graphs, *x.shape[1:]), x.dtype)
    np.add.at(total, owner, x._values)
    total *= weights
    return record([total], [x], lambda dys: [(_given(dys) * weights)[owner]], name="readout")[0]


def only_roots(graphs: GraphBatch) -> Any:
    """The root of each graph, as vertex numbers. Raises GraphError where there is not one."""
    roots = graphs.roots
    count = np.bincount(
        np.searchsorted(graphs.ptr, roots, side="right") - 1, minlength=graphs.num_graphs
    )
    if (count != 1).any():
        wrong = int(np.flatnonzero(count != 1)[0])
        raise GraphError(
            f"[readout] expected one vertex without parents in graph {wrong}, got {count[wrong]}; "
            "use sum, mean or max"
        )
    return roots


def _take(x: Tensor, rows: Any) -> Tensor:
    shape, dtype = x.shape, x.dtype

    def backward(dys: Sequence[Any]) -> list[Any]:
        dx = np.zeros(shape, dtype)
        dx[rows] = _given(dys)  # rows are distinct
        return [dx]

    return record([x._values[rows]], [x], backward, name="readout")[0]


def _max(graphs: GraphBatch, x: Tensor, owner: Any) -> Tensor:
    data = x._values
    top = np.full((graphs.num_graphs, *x.shape[1:]), -np.inf, x.dtype)
    np.maximum.at(top, owner, data)
    top[np.diff(graphs.ptr) == 0] = 0

    def backward(dys: Sequence[Any]) -> list[Any]:
        mask = (data == top[owner]).astype(data.dtype)
        count = np.zeros_like(top)
        np.add.at(count, owner, mask)
        return [mask * (_given(dys) / np.maximum(count, 1))[owner]]

    return record([top], [x], backward, name="readout", reads=[data, top])[0]


def _given(dys: Sequence[Any]) -> Any:
    (dy,) = dys
    return dy
