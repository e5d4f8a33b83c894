"""Parameters and gradients for tests of the optimizers of PyTorch."""

from __future__ import annotations

from typing import Any


def parameters(dtype: Any = None, seed: int = 0) -> list[Any]:
    """A matrix, a vector, a scalar, a tensor of three dimensions and one of no elements."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    shapes = [(5, 3), (4,), (), (2, 3, 2), (0, 2)]
    return [torch.nn.Parameter(torch.randn(s, generator=draw, dtype=dtype)) for s in shapes]


def assign(params: list[Any], seed: int) -> None:
    """Gives every parameter a gradient, but for the vector at odd numbers."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    for p in params:
        grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        p.grad = None if p.shape == (4,) and seed % 2 else grad


def assert_equal(found: Any, expected: Any) -> None:
    import torch

    for a, b in zip(found, expected, strict=True):
        tolerance = 1e-5 if a.dtype == torch.float32 else 1e-12
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
