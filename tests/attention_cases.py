"""Graphs, inputs and the definition of attention over children, for its tests."""

from __future__ import annotations

import numpy as np

import cavs
from cavs.core.passes import PASSES

ON_EDGES = tuple(name for name in PASSES if name != "fuse_attention")
Arrays = dict[str, np.ndarray]


def window(length: int, most: int) -> cavs.InputGraph:
    """A chain in which each vertex has up to `most` before it as children."""
    return cavs.InputGraph([list(range(max(0, i - most), i)) for i in range(length)])


def segment(length: int, memory: int) -> cavs.InputGraph:
    """`memory` vertices without children; then each has all before it that are as near."""
    return cavs.InputGraph(
        [[] if i < memory else list(range(i - memory, i)) for i in range(length + memory)]
    )


def dag(size: int, most: int, seed: int) -> cavs.InputGraph:
    rng = np.random.default_rng(seed)
    return cavs.InputGraph(
        [rng.integers(0, i, rng.integers(0, most + 1)).tolist() if i else [] for i in range(size)]
    )


GRAPHS = {
    "windows": [window(50, 40), window(7, 40), window(1, 1), cavs.InputGraph([]), window(90, 20)],
    "segments": [segment(40, 33), segment(13, 16)],
    "lists": [dag(30, 6, 1), dag(9, 40, 2), window(20, 3)],
    "both": [dag(20, 30, 3), window(70, 39)],
}


def drawn(model: cavs.Model, graphs: cavs.GraphBatch, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    rows = {"vertex": graphs.num_vertices, "edge": graphs.num_edges}
    return {
        name: rng.normal(size=(rows[spec.space], *spec.shape))
        for name, spec in sorted(model.inputs.items())
    }


def numpy_attention(
    graphs: cavs.GraphBatch, x: Arrays, places: int, factor: np.ndarray | float = 1.0
) -> np.ndarray:
    """By the definition, vertex by vertex; `factor`: (edges, heads), of weights."""
    out = np.zeros((graphs.num_vertices, *x["w"].shape[1:]))
    for v in range(graphs.num_vertices):
        edges = np.arange(graphs.child_ptr[v], graphs.child_ptr[v + 1])
        if not len(edges):
            continue
        kids = graphs.children[edges]
        score = np.einsum("hs,nhs->hn", x["q"][v], x["k"][kids]) / np.sqrt(x["q"].shape[-1])
        score += x["position"][v][:, places - len(edges) :]
        bias = x["bias"][edges]
        score += bias if bias.ndim == 1 else bias.T
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        weight = weight * np.broadcast_to(factor, (graphs.num_edges, len(weight)))[edges].T
        out[v] = np.einsum("hn,nhs->hs", weight, x["w"][kids])
    return out


def compare(found: Arrays, expected: Arrays, rtol: float) -> None:
    assert found.keys() == expected.keys()
    for name, a in expected.items():
        scale = max(1.0, float(np.abs(a).max(initial=0)))
        np.testing.assert_allclose(found[name], a, rtol=0, atol=rtol * scale, err_msg=name)


def kernels(model: cavs.Model) -> set[str]:
    """The names in the programs of training."""
    compiler = model._compiler
    backward = compiler.backward(compiler.function.pushes, list(model.inputs))
    return {i.kernel for s in backward.segments for i in s.instructions}
