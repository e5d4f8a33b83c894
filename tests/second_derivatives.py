"""Values, first and second derivatives of a function in F, beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops


class Derived(cavs.VertexFunction):
    """A function, and the derivative of half of its square by what it is of."""

    def __init__(self, function: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        self.function, self.shape = function, shape

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.shape)
        y = self.function(x)
        (slope,) = cavs.grad(0.5 * ops.sum(ops.square(y)), x)
        v.push(y=y, slope=slope)


def second_derivatives(
    ours: Callable[[Any], Any],
    torchs: Callable[[Any, Any], Any],
    shape: tuple[int, ...],
    rows: int = 3,
) -> None:
    """Checks `ours(x)` against `torchs(torch, x)`, which may have rows in front: by the native
    engine with and without passes, in float64."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(11)
    data = rng.normal(size=(rows, *shape))
    graphs = cavs.batch([cavs.InputGraph([[]])] * rows)
    z = torch.tensor(data, requires_grad=True)
    expected = torchs(torch, z)
    (slope,) = torch.autograd.grad(0.5 * expected.square().sum(), z, create_graph=True)
    weights = [rng.normal(size=tuple(t.shape)) for t in (expected, slope)]
    both = zip((expected, slope), weights, strict=True)
    sum((t * torch.tensor(w)).sum() for t, w in both).backward()
    for options in ({}, {"passes": ()}, {"executor": "reference"}):
        x = cavs.tensor(data, requires_grad=True)
        out = cavs.compile(Derived(ours, shape), dtype="float64", **options)(graphs, x=x)
        np.testing.assert_allclose(out["y"].data, expected.detach().numpy(), 1e-11, 1e-12)
        np.testing.assert_allclose(out["slope"].data, slope.detach().numpy(), 1e-10, 1e-11)
        pairs = zip((out["y"], out["slope"]), weights, strict=True)
        sum(((y * cavs.tensor(w)).sum() for y, w in pairs), cavs.tensor(0.0, "float64")).backward()
        np.testing.assert_allclose(x.grad, z.grad.numpy(), 1e-9, 1e-10)
