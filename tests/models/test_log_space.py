"""What is impossible in sums over all sequences of tags, derivations and paths: weights of -inf,
against sums over all of them, one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import dags

import cavs
from cavs import ops

Array = np.ndarray
INF = np.inf


def options_of(way: str) -> dict[str, Any]:
    return {"reference": {"executor": "reference"}, "unfused": {"passes": ()}}.get(way, {})


def log_of(p: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(p)


class Crf(cavs.VertexFunction):
    """The forward algorithm of a linear-chain conditional random field (Lafferty et al. 2001)."""

    def __init__(self, start: Array, transitions: Array) -> None:
        self.start = cavs.Parameter(start.copy())
        self.transitions = cavs.Parameter(transitions.copy())  # (to, from)

    def forward(self, v: cavs.Vertex) -> None:
        tags = self.start.shape[0]
        before = v.gather(alpha=tags).alpha
        reached = ops.logsumexp(ops.reshape(before, (1, tags)) + self.transitions)
        alpha = v.pull("emission", tags) + ops.where(
            v.pull("first"), self.start, reached.logsumexp()
        )
        v.scatter(alpha=alpha)
        v.push(log_z=ops.logsumexp(alpha))


def sum_of_sequences(start: Array, steps: Array, emission: Array) -> tuple[float, list[Array]]:
    """log Z by all tag sequences, and its gradients: expected counts."""
    counts = [np.zeros_like(start), np.zeros_like(steps), np.zeros_like(emission)]
    total = 0.0
    for tags in itertools.product(range(len(start)), repeat=len(emission)):
        score = start[tags[0]] + sum(emission[t, k] for t, k in enumerate(tags))
        score += sum(steps[b, a] for a, b in itertools.pairwise(tags))
        p = float(np.exp(score))
        total += p
        counts[0][tags[0]] += p
        for a, b in itertools.pairwise(tags):
            counts[1][b, a] += p
        for t, k in enumerate(tags):
            counts[2][t, k] += p
    return float(log_of(np.float64(total))), [c / total if total else c for c in counts]


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("way", ["native", "unfused", "reference"])
@pytest.mark.parametrize("impossible", ["a tag", "a start", "some steps", "an emission", "all"])
def test_crf_with_what_is_impossible(impossible: str, way: str, length: int) -> None:
    rng = np.random.default_rng(length)
    start, steps, emission = (rng.normal(size=s) for s in ((4,), (4, 4), (length, 4)))
    if impossible in ("a tag", "a start"):  # that nothing leads to
        start[2] = -INF
        steps[2] = -INF if impossible == "a tag" else steps[2]
    elif impossible == "some steps":
        steps[rng.random((4, 4)) < 0.5] = -INF
    else:
        emission[-1, : 4 if impossible == "all" else 2] = -INF
    log_z, gradients = sum_of_sequences(start, steps, emission)
    function = Crf(start, steps)
    model = cavs.compile(function, dtype="float64", **options_of(way))
    x = cavs.Tensor(emission, requires_grad=True)
    graph = cavs.InputGraph([[], *[[t] for t in range(length - 1)]])
    last = model(graph, emission=x, first=np.eye(length)[0])["log_z"][length - 1]
    assert last.item() == pytest.approx(log_z, rel=1e-12)
    last.backward()
    assert x.grad is not None
    found = [function.start.grad, function.transitions.grad, x.grad]
    for g, expected in zip(found, gradients, strict=True):
        np.testing.assert_allclose(
            np.zeros_like(expected) if g is None else g, expected, atol=1e-12
        )


class Forest(cavs.VertexFunction):
    """The inside algorithm over a packed forest: a vertex is one of its children, or all."""

    def forward(self, v: cavs.Vertex) -> None:
        children = v.gather(inside=()).inside
        either = v.pull("either")
        inside = v.pull("weight") + ops.where(either, children.logsumexp(), children.sum())
        v.scatter(inside=inside)
        v.push(inside=inside, posterior=children.softmax())


Derivations = list[tuple[float, Array]]


def derivations(graph: cavs.InputGraph, either: Array, weight: Array) -> list[Derivations]:
    """Of each vertex: log weights of its derivations, with how often each vertex is used."""
    known: dict[int, Derivations] = {}

    def of(v: int) -> Derivations:
        if v not in known:
            parts = [of(int(c)) for c in graph.children[v]]
            chosen = (
                [d for part in parts for d in part]
                if either[v]
                else [
                    (sum(w for w, _ in ds), sum((c for _, c in ds), np.zeros(len(weight))))
                    for ds in itertools.product(*parts)
                ]
            )
            known[v] = [(w + weight[v], c + np.eye(len(weight))[v]) for w, c in chosen]
        return known[v]

    return [of(v) for v in range(len(weight))]


@settings(max_examples=40)
@given(graph=dags(min_vertices=1, max_vertices=6, max_arity=2), seed=st.integers(0, 999))
def test_inside_of_forests(graph: cavs.InputGraph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = graph.num_vertices
    either = rng.integers(0, 2, n).astype(float)
    weight = np.where(rng.random(n) < 0.2, -INF, rng.normal(size=n))
    for way in ("native", "unfused", "reference"):
        model = cavs.compile(Forest(), dtype="float64", **options_of(way))
        for v, of_vertex in enumerate(derivations(graph, either, weight)):
            p = np.exp([w for w, _ in of_vertex])
            total = p.sum()
            counts = sum((q * c for q, (_, c) in zip(p, of_vertex, strict=True)), np.zeros(n))
            x = cavs.Tensor(weight, requires_grad=True)
            out = model(graph, weight=x, either=either)
            np.testing.assert_allclose(out["inside"].data[v], log_of(total), rtol=1e-10, atol=1e-12)
            out["inside"][v].backward()
            if total > 0:
                np.testing.assert_allclose(x.grad, counts / total, rtol=1e-9, atol=1e-12)
            assert x.grad is not None
            assert np.isfinite(x.grad).all()
            assert np.isfinite(out["posterior"].data).all()
