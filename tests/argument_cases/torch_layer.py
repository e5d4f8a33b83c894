"""Calls of the layer of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from argument_cases.base import GRAPH, Case, Cell


def torch_cases() -> Iterator[Case]:
    """Of ``cavs.torch``, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return
    import cavs.torch

    options = {
        "function": Cell(),
        "outputs": ["h"],
        "dtype": "float32",
        "device": "cpu",
        "seed": 0,
        "sparse": True,
        "policy": "batching",
        "passes": ["simplify"],
    }
    make = lambda function, **rest: cavs.torch.Layer(function, **rest)  # noqa: E731
    yield Case("torch.Layer", make, options)
    layer = cavs.torch.Layer(Cell())
    given = {"word": torch.tensor([1, 2]), "extra": torch.ones(2, 4, requires_grad=True)}
    call = lambda graphs, **rest: layer(graphs, **rest)  # noqa: E731
    yield Case("torch.Layer.__call__", call, {"graphs": GRAPH, **given})
    with torch.no_grad():
        infer = torch.no_grad()(call)
        yield Case("torch.Layer.__call__ without gradients", infer, {"graphs": GRAPH, **given})
