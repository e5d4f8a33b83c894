"""One value for each graph of a batch, from the values of its vertices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import instance, is_among, shown
from cavs.device import device_of
from cavs.errors import DTypeError, GraphError, InputError
from cavs.scheduler import GraphBatch, rows_by_graph
from cavs.tensor import Tensor, record, sole_cotangent

KINDS = ("sum", "mean", "max", "root")


Of = str | int | Sequence[str | int] | None


def readout(graphs: GraphBatch, x: Tensor, kind: str = "root", of: Of = None) -> Tensor:
    """Reduces a value of the vertices to one of the graphs; gradients flow back.

    Args:
        graphs: the batch.
        x: (vertices, ...): a tensor, or an array, which gets no gradient.
        kind: ``sum``, ``mean`` or ``max`` over the vertices of each graph, zeros for a graph
            without any; equal maxima share the gradient evenly. ``root``: the value of the only
            vertex without parents.
        of: the type, or types, whose vertices `x` has rows for; None: all vertices.

    Returns:
        (graphs, ...).

    Raises:
        InputError: another kind, or no GraphBatch and Tensor; ShapeError: `x` has not a row for
        each vertex; DTypeError: the mean of integers; GraphError: a graph does not have exactly
        one root, or one of another type than `of`; names it.
    """
    instance("readout", "graphs", graphs, GraphBatch, "a cavs.GraphBatch")
    given: Any = x
    if not isinstance(given, Tensor):
        x = Tensor(given)
    if not is_among(kind, KINDS):
        raise InputError(
            f"[readout] expected one of {', '.join(KINDS)}, got {shown(kind)}; choose one of these"
        )
    ptr = rows_by_graph(graphs, "readout", x.shape, of)
    if kind == "root":
        return _take(x, _rows_of_roots(graphs, of))
    sizes = np.diff(ptr)
    owner = np.repeat(np.arange(graphs.num_graphs), sizes)
    if kind == "max":
        return _max(x, owner, sizes)
    if kind == "mean" and x.dtype.kind != "f":
        raise DTypeError(
            f"[readout] expected floats for the mean, got {x.dtype}; convert them with astype"
        )
    scale = 1 / np.maximum(sizes, 1) if kind == "mean" else np.ones(len(sizes))
    device = device_of(x._values)
    weights = device.asarray(scale.reshape(-1, *[1] * (x.ndim - 1)), x.dtype)
    rows = device.asarray(owner)
    total = device.zeros((graphs.num_graphs, *x.shape[1:]), x.dtype)
    device.add_at(total, rows, x._values)
    with device.here():
        total *= weights

    def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
        return [(sole_cotangent(dys) * weights)[rows]]

    return record([total], [x], backward, name="readout", derives=())[0]


def readout_pairs(
    graphs: GraphBatch, x: Tensor, kind: str = "root", of: Of = None
) -> tuple[Tensor, Tensor]:
    """The values of the left and of the right graphs of pairs, as `cavs.data.PairDataset` batches
    them: graphs 0, 2, 4, ... are on the left, 1, 3, 5, ... on the right.

    Args:
        graphs, x, kind, of: as of :func:`readout`.

    Returns:
        Two tensors (pairs, ...).

    Raises:
        GraphError: an odd number of graphs; and the errors of :func:`readout`.
    """
    values = readout(graphs, x, kind, of)
    if len(values) % 2:
        raise GraphError(
            f"[readout] expected two graphs for each pair, got {len(values)} graphs; make the "
            "batch of a PairDataset"
        )
    return values[::2], values[1::2]


def only_roots(graphs: GraphBatch) -> Any:
    """The root of each graph, as a vertex number. Raises GraphError unless each has one root."""
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


def _rows_of_roots(graphs: GraphBatch, of: Of) -> Any:
    """The row of each graph's root, among those of the vertices of some types."""
    roots = only_roots(graphs)
    if of is None:
        return roots
    vertices = graphs.vertices(of)
    own = set(vertices.tolist())
    graph = next((g for g, root in enumerate(roots.tolist()) if root not in own), None)
    if graph is not None:
        types: Any = graphs.types
        raise GraphError(
            f"[readout] expected a root of type {shown(of)} in graph {graph}, got one of type "
            f"{types[roots[graph]]!r}; use sum, mean or max"
        )
    return np.searchsorted(vertices, roots)


def _take(x: Tensor, numbers: Any) -> Tensor:
    shape, dtype, device = x.shape, x.dtype, device_of(x._values)
    rows = device.asarray(numbers)

    def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
        dy = sole_cotangent(dys)
        if place is not None:
            return [dy._added_at(rows, shape)]
        dx = device.zeros(shape, dtype)
        dx[rows] = dy  # rows are distinct
        return [dx]

    with device.here():
        values = x._values[rows]
    return record([values], [x], backward, name="readout", derives=())[0]


def _max(x: Tensor, owner: Any, sizes: Any) -> Tensor:
    data = x._values
    device = device_of(data)
    rows = device.asarray(owner)
    least = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    top = device.full((len(sizes), *x.shape[1:]), least, x.dtype)
    device.max_at(top, rows, data)
    with device.here():
        top[device.asarray(np.flatnonzero(sizes == 0))] = 0

    def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
        mask = (data == top[rows]).astype(data.dtype)
        count = device.zeros(top.shape, top.dtype)
        device.add_at(count, rows, mask)
        count += count == 0  # for a graph without vertices, or with NaN
        return [(sole_cotangent(dys) / count)[rows] * mask]

    return record([top], [x], backward, name="readout", reads=[data, top], derives=())[0]
