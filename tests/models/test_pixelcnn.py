"""PixelCNN against its equations, summed over all images; as a graph of pixels, and its samples."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import pixel_graph
from cavs.errors import ShapeError
from cavs.models import PixelCNN
from cavs.training import sample_pixels
from cavs.training.densities import _turns


def make(height: int, width: int, kernel: int = 3, layers: int = 2) -> PixelCNN:
    cavs.nn.init.manual_seed(1)
    cnn = PixelCNN(height * width, width, channels=3, num_layers=layers, kernel_size=kernel)
    for parameter in cnn.parameters():  # as far from zero as those of a trained one
        parameter.data[...] *= 3
    return cnn


def every(pixels: int) -> np.ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=pixels)))


def outputs(function: Any, x: np.ndarray, dtype: str = "float64") -> dict[str, np.ndarray]:
    model = cavs.compile(function, dtype=dtype).eval()
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
    return {name: y.numpy() for name, y in model(graphs, image=x).items()}


def convolved(layer: Any, x: np.ndarray, before: int) -> np.ndarray:
    """A convolution with the first `before` taps of its kernel, tap by tap."""
    weight, bias = (p.data.astype(np.float64) for p in (layer.weight, layer.bias))
    size, (_, height, width) = weight.shape[-1], x.shape
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    y = np.tile(bias[:, None, None], (1, height, width))
    for i, j in list(np.ndindex(size, size))[:before]:
        y += np.einsum("oc,chw->ohw", weight[:, :, i, j], padded[:, i:, j:][:, :height, :width])
    return y


def oracle(cnn: PixelCNN, x: np.ndarray) -> np.ndarray:
    """The logits of an image, as the equations say them."""

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    kernel = cnn.blocks[0].masked.kernel_size[0]
    u = convolved(cnn.first, x.reshape(1, cnn.height, cnn.width), 24)
    for block in cnn.blocks:
        a = relu(convolved(block.narrow, relu(u), 1))
        b = relu(convolved(block.masked, a, kernel * kernel // 2 + 1))
        u = u + convolved(block.widen, b, 1)
    y = relu(convolved(cnn.hidden, relu(u), 1))
    return convolved(cnn.pixels, y, 1).reshape(-1)


@pytest.mark.parametrize(("height", "width", "kernel"), [(3, 3, 3), (9, 10, 5), (1, 4, 1)])
def test_it_is_what_its_equations_say(height: int, width: int, kernel: int) -> None:
    cnn = make(height, width, kernel)
    x = np.random.default_rng(0).integers(0, 2, (3, height * width)).astype(np.float64)
    found = outputs(cnn, x)
    logits = np.array([oracle(cnn, image) for image in x])
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-9)
    loss = np.log1p(np.exp(-np.where(x > 0, logits, -logits))).sum(axis=1)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 4)])
def test_probabilities_sum_to_one(height: int, width: int) -> None:
    found = outputs(make(height, width), every(height * width))
    assert np.exp(-found["loss"]).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("height", "width", "kernel"), [(4, 9, 3), (5, 6, 9), (1, 3, 1), (1, 1, 3)]
)
def test_a_graph_of_pixels_is_the_same(height: int, width: int, kernel: int) -> None:
    """Values and gradients, with kernels smaller and larger than the first."""
    cnn = make(height, width, kernel)
    x = np.random.default_rng(0).integers(0, 2, (3, height * width)).astype(np.float64)
    grid = cnn.grid()
    whole = cavs.compile(cnn, outputs=["loss"], dtype="float64")
    pixels = cavs.compile(grid, dtype="float64")
    found = []
    for loss in (
        whole(cavs.batch([cavs.InputGraph([[]])] * 3), image=x)["loss"],
        pixels(cavs.batch([pixel_graph(*grid.graph_sizes)] * 3), bit=x.ravel())["loss"],
    ):
        for parameter in cnn.parameters():
            parameter.zero_grad()
        loss.sum().backward()
        by_image = loss.numpy().reshape(3, -1).sum(axis=1)
        found.append([by_image, *(np.array(p.grad) for p in cnn.parameters())])
    for ours, others in zip(*found, strict=True):
        np.testing.assert_allclose(ours, others, rtol=1e-9, atol=1e-12)


def drawn_by(cnn: PixelCNN, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Samples, and the probabilities that they were drawn by, pixel by pixel."""
    grown: list[Any] = []
    unfold = cavs.unfold

    def kept(*given: Any, **options: Any) -> Any:
        grown.append(unfold(*given, **{**options, "keep": ["mean"]}))
        return grown[0]

    with monkeypatch.context() as patch:
        patch.setattr(cavs, "unfold", kept)
        images = sample_pixels(cnn, count, seed=3)
    turns = np.concatenate(
        [turn.vertices for turn in _turns(pixel_graph(*cnn.sampler().graph_sizes))]
    )
    means = np.zeros_like(images)
    means[:, turns] = grown[0].outputs["mean"].reshape(count, -1)
    return images, means


@pytest.mark.parametrize(("height", "width", "kernel"), [(3, 3, 3), (4, 12, 3), (3, 12, 9)])
def test_pixels_are_drawn_by_what_the_convolutions_say(
    height: int, width: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cnn = make(height, width, kernel)
    images, means = drawn_by(cnn, 5, monkeypatch)
    logits = outputs(cnn, images, "float32")["logits"]
    np.testing.assert_allclose(means, 1 / (1 + np.exp(-logits)), rtol=2e-5)
    assert set(np.unique(images)) == {0.0, 1.0}


def test_samples_come_as_often_as_they_should() -> None:
    """All images of a small model: frequencies against probabilities, by a chi-squared bound."""
    cnn, count = make(2, 3), 4000
    images = sample_pixels(cnn, count, seed=7)
    seen = np.bincount((images @ 2 ** np.arange(6)[::-1]).astype(int), minlength=2**6)
    expected = count * np.exp(-outputs(cnn, every(6))["loss"])
    distance = ((seen - expected) ** 2 / expected).sum()
    assert distance < 63 + 5 * np.sqrt(2 * 63)


def test_an_image_is_drawn_the_same_in_any_company() -> None:
    cnn = make(4, 9)
    some, more = sample_pixels(cnn, 3, seed=2), sample_pixels(cnn, 20, seed=2)
    np.testing.assert_array_equal(more[:3], some)
    assert (sample_pixels(cnn, 3, seed=3) != some).any()
    assert len({image.tobytes() for image in more}) > 10
    assert sample_pixels(cnn, 0).shape == (0, 36)


def test_lines_are_drawn_side_by_side() -> None:
    """A line is four pixels behind the one above, whose next three pixels a kernel of 7 sees."""
    turns = _turns(pixel_graph(28, 28, 7))
    row, column = np.divmod(np.arange(28 * 28), 28)
    when = column + 4 * row
    assert len(turns) == 28 + 4 * 27
    for number, turn in enumerate(turns):
        np.testing.assert_array_equal(turn.vertices, np.flatnonzero(when == number))
    # What is remembered are some lines, not the image.
    held, most = 0, 0
    for turn in turns:
        held += len(turn.vertices) - len(turn.forget)
        most = max(most, held)
    assert most < 5 * 28


def test_the_first_biases_are_those_of_the_data() -> None:
    cnn = make(2, 2)
    cnn.set_pixel_means(np.array([0.1, 0.3, 0.2, 0.2]))
    assert cnn.pixels.bias is not None
    assert cnn.pixels.bias.data[0] == pytest.approx(np.log(0.2 / 0.8), rel=1e-6)


def test_what_a_model_is_made_of() -> None:
    with pytest.raises(ShapeError, match="image_width that divides 9 pixels, got 4; pass the"):
        PixelCNN(9, 4)
    with pytest.raises(ShapeError, match="integer channels >= 1, got 0"):
        PixelCNN(9, 3, channels=0)
    with pytest.raises(ShapeError, match=r"expected a kernel of odd sizes.* got 4 x 4"):
        PixelCNN(9, 3, kernel_size=4)
