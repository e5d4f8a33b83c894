"""What tests of ``cavs.torch`` check of a layer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from torch_cell import GRAPHS, Cell, arrays, inputs

__all__ = ["assert_fresh", "assert_shared", "gradients", "one_line", "remembering"]


def one_line(error: BaseException) -> str:
    """The message, which is one line of the form that cavs's errors have."""
    message = str(error)
    assert "\n" not in message, message
    assert "expected" in message, message
    assert "; " in message, message
    return message


def gradients(layer: Any, **more: Any) -> dict[str, np.ndarray]:
    """Gradients by name, the sparse ones made dense."""
    found = {name: p.grad for name, p in layer.named_parameters()} | more
    return {
        name: (g.to_dense() if g.is_sparse else g).numpy()
        for name, g in found.items()
        if g is not None
    }


def assert_shared(layer: Any) -> None:
    """Each torch parameter has the memory of the parameter of cavs of the same name."""
    named = dict(layer.function.named_parameters())
    assert set(named) == set(layer.state_dict())
    for name, parameter in named.items():
        tensor = layer.get_parameter(name)
        assert tuple(tensor.shape) == parameter.shape
        assert parameter.read()[0].ctypes.data == tensor.data_ptr(), name


def assert_fresh(layer: Any) -> None:
    """Inference gives what it gives where nothing is remembered or packed: a layer of a copy."""
    import torch

    import cavs.torch

    state = {name: x.clone() for name, x in layer.state_dict().items()}
    other = cavs.torch.Layer(Cell(seed=9), dtype=layer.get_parameter("layers.0.weight").dtype)
    other.load_state_dict(state)
    other.eval()
    layer.eval()
    given = inputs()
    with torch.no_grad():
        expected = other(GRAPHS, **given)["h"]
        found = layer(GRAPHS, **given)["h"]
    assert torch.equal(found, expected)
    values = cavs.compile(copy.deepcopy(layer.function), dtype=layer.model.dtype).eval()
    with cavs.no_grad():
        assert np.array_equal(values(GRAPHS, **arrays())["h"].numpy(), expected.numpy())


def remembering(layer: Any) -> Any:
    """The layer after calls whose results it remembers."""
    import torch

    layer.eval()
    with torch.no_grad():
        for _ in range(2):
            layer(GRAPHS, **inputs())
    return layer
