"""Convolutional layers: values, initial values, masks, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn
from cavs.errors import InputError, ShapeError

LAYERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "Conv1d": ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (4, 9)),
    "Conv2d": ("Conv2d", (4, 6, (3, 2)), {"dilation": (1, 2), "bias": False}, (4, 9, 8)),
    "ConvTranspose1d": ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (4, 5)),
    "ConvTranspose2d": (
        "ConvTranspose2d",
        (4, 6, 5),
        {"stride": 2, "padding": 2, "output_padding": 1, "groups": 2},
        (4, 5, 4),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    kind, sizes, given, shape = LAYERS[name]
    mine = getattr(nn, kind)(*sizes, **given, dtype="float64")
    theirs = getattr(torch.nn, kind)(*sizes, **given, dtype=torch.float64)
    assert mine.weight.shape == tuple(theirs.weight.shape)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(mine.weight.data))
        if mine.bias is not None:
            theirs.bias.copy_(torch.tensor(mine.bias.data))
    x = np.random.default_rng(0).normal(size=(3, *shape))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(mine(cavs.tensor(x)).data, expected, 1e-12, 1e-12)
    assert (mine.bias is None) == (theirs.bias is None)


@pytest.mark.parametrize("name", LAYERS)
def test_initial_values_lie_within_pytorchs_bounds(name: str) -> None:
    kind, sizes, given, _ = LAYERS[name]
    layer = getattr(nn, kind)(*sizes, **given)
    bound = 1.0 / math.sqrt(math.prod(layer.weight.shape[1:]))
    for parameter in [p for p in (layer.weight, layer.bias) if p is not None]:
        values = parameter.data
        assert np.abs(values).max() <= bound
        assert values.min() < 0 < values.max()
        if values.size > 50:  # of six biases the greatest is often small
            assert np.abs(values).max() > 0.7 * bound


class Layers(cavs.VertexFunction):
    """A few layers one after the other, as a PixelCNN has them."""

    def __init__(self) -> None:
        self.first = nn.MaskedConv2d(1, 6, 5, "A", dtype="float64")
        self.second = nn.MaskedConv2d(6, 6, 3, "B", dtype="float64")
        self.last = nn.Conv2d(6, 1, 1, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (1, 6, 7))
        v.push(y=self.last(cavs.ops.relu(self.second(cavs.ops.relu(self.first(x))))))


def test_a_pixel_depends_on_those_before_it_alone() -> None:
    model = cavs.compile(Layers(), dtype="float64")
    graph = cavs.InputGraph([[]])
    x = np.random.default_rng(1).normal(size=(1, 1, 6, 7))
    y = model(graph, x=x)["y"].data.reshape(-1)
    for at in range(42):
        moved = x.copy()
        moved.reshape(-1)[at] += 1.0
        changed = model(graph, x=moved)["y"].data.reshape(-1) != y
        assert not changed[: at + 1].any()
        assert at >= 35 or changed[at + 1 :].any()


def test_masks() -> None:
    assert nn.MaskedConv2d(1, 1, 3, "A").mask == ((True,) * 3, (True, False, False), (False,) * 3)
    assert nn.MaskedConv2d(1, 1, 3, "B").mask == ((True,) * 3, (True, True, False), (False,) * 3)
    assert nn.MaskedConv2d(1, 1, (1, 3), "B").mask == ((True, True, False),)


def test_what_layers_say_of_themselves() -> None:
    assert repr(nn.Conv2d(3, 4, 3)) == "Conv2d(3, 4, kernel_size=(3, 3))"
    layer = nn.Conv1d(3, 4, 3, stride=2, padding=(2, 0), bias=False)
    assert repr(layer) == "Conv1d(3, 4, kernel_size=(3,), stride=(2,), padding=(2, 0), bias=False)"
    masked = nn.MaskedConv2d(1, 8, 7, "A")
    assert repr(masked) == "MaskedConv2d(1, 8, kernel_size=(7, 7), padding='same', kind='A')"
    up = nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)
    assert repr(up) == (
        "ConvTranspose2d(4, 2, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1, 1, 1))"
    )


def test_what_layers_refuse() -> None:
    with pytest.raises(ShapeError, match=r"\[conv2d\] expected an input of shape \(3, H, W\), got"):
        nn.Conv2d(3, 4, 3)(cavs.tensor(np.zeros((2, 4, 5, 5), np.float32)))
    with pytest.raises(ShapeError, match=r"\[conv1d\] expected channels that 2 groups divide"):
        nn.Conv1d(3, 4, 3, groups=2)
    with pytest.raises(ShapeError, match=r"\[conv2d\] expected 2 numbers as kernel_size"):
        nn.Conv2d(3, 4, (3,))
    with pytest.raises(ShapeError, match=r"\[masked_conv2d\] expected a kernel of odd sizes"):
        nn.MaskedConv2d(1, 4, 4, "A")
    with pytest.raises(ShapeError, match=r"expected a kernel with pixels before its centre"):
        nn.MaskedConv2d(1, 4, 1, "A")
    with pytest.raises(InputError, match=r"\[masked_conv2d\] expected kind 'A' or 'B', got 'C'"):
        nn.MaskedConv2d(1, 4, 3, "C")
    with pytest.raises(ShapeError, match=r"\[conv_transpose2d\] expected an output_padding below"):
        nn.ConvTranspose2d(1, 4, 3, output_padding=1)
    with pytest.raises(ShapeError, match=r"\[conv_transpose1d\] expected numbers as padding"):
        nn.ConvTranspose1d(1, 4, 3, padding="same")
