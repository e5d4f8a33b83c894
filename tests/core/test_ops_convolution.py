"""Convolutions in vertex functions and of tensors: beside PyTorch, and beside differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from program_contents import kernels_in

import cavs
from cavs import ops

ROWS = 5

# name: (function, shape of x, shape of the weight, keywords, those of PyTorch where they differ)
FORMS: dict[str, tuple[str, Any, Any, dict[str, Any], dict[str, Any] | None]] = {
    "plain": ("conv2d", (3, 8, 9), (4, 3, 3, 2), {}, None),
    "same": ("conv2d", (3, 8, 9), (4, 3, 3, 5), {"padding": "same"}, None),
    "stride": ("conv2d", (2, 9, 8), (5, 2, 3, 3), {"stride": (2, 3), "padding": (1, 2)}, None),
    "dilation": ("conv2d", (2, 9, 8), (5, 2, 3, 2), {"dilation": (2, 1), "padding": 1}, None),
    "groups": ("conv2d", (4, 6, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}, None),
    "depthwise": ("conv2d", (4, 6, 6), (4, 1, 3, 3), {"groups": 4, "padding": "same"}, None),
    "one pixel": ("conv2d", (7, 4, 4), (3, 7, 1, 1), {}, None),
    "whole image": ("conv2d", (3, 4, 4), (33, 3, 4, 4), {}, None),
    "sequence": ("conv1d", (3, 11), (4, 3, 3), {"stride": 2, "padding": 1}, None),
    "dilated": ("conv1d", (3, 11), (4, 3, 3), {"dilation": 2, "padding": "same"}, None),
    "transposed": (
        "conv_transpose2d",
        (4, 4, 5),
        (4, 3, 5, 5),
        {"stride": 2, "padding": 2, "output_padding": 1},
        None,
    ),
    "transposed, groups": (
        "conv_transpose2d",
        (4, 3, 3),
        (4, 2, 3, 2),
        {"stride": (3, 1), "groups": 2, "dilation": (1, 2)},
        None,
    ),
    "transposed, gaps": ("conv_transpose2d", (2, 3, 3), (2, 3, 1, 2), {"stride": 3}, None),
    "transposed, more than the stride": (
        "conv_transpose2d",
        (2, 3, 4),
        (2, 3, 3, 2),
        {"dilation": (3, 2), "padding": (1, 0), "output_padding": (2, 1)},
        None,
    ),
    "transposed, more than is padded": (
        "conv_transpose1d",
        (3, 6),
        (3, 2, 4),
        {"stride": 2, "dilation": 4, "padding": 2, "output_padding": 3},
        None,
    ),
    "transposed, sequence": (
        "conv_transpose1d",
        (3, 6),
        (3, 2, 4),
        {"stride": 2, "padding": 1},
        None,
    ),
}


class Convolution(cavs.VertexFunction):
    """Of what each vertex pulls, with parameters."""

    def __init__(self, name: str, x: Any, weight: np.ndarray, bias: Any, **given: Any) -> None:
        self.function: Callable[..., Any] = getattr(ops, name)
        self.shape, self.given = x, given
        self.weight = cavs.Parameter(weight)
        self.bias = None if bias is None else cavs.Parameter(bias)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.shape)
        v.push(y=self.function(x, self.weight, self.bias, **self.given))


def graphs(rows: int = ROWS) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * rows)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


def channels_out(name: str, weight: tuple[int, ...], given: dict[str, Any]) -> int:
    return weight[1] * int(given.get("groups", 1)) if "transpose" in name else weight[0]


@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_are_pytorchs(form: str) -> None:
    torch = pytest.importorskip("torch")
    name, shape, of_weight, given, other = FORMS[form]
    x, w = drawn(ROWS, *shape), drawn(*of_weight, seed=1)
    b = drawn(channels_out(name, of_weight, given), seed=2)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    expected = getattr(torch.nn.functional, name)(*tensors, **(other or given))
    weights = drawn(*expected.shape, seed=3)
    (expected * torch.tensor(weights)).sum().backward()

    function = Convolution(name, shape, w, b, **given)
    model = cavs.compile(function, dtype="float64")
    pulled = cavs.tensor(x, requires_grad=True)
    y = model(graphs(), x=pulled)["y"]
    (y * cavs.tensor(weights)).sum().backward()
    assert function.bias is not None
    found = (pulled.grad, function.weight.grad, function.bias.grad)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), 1e-11, 1e-11)
    for mine, theirs in zip(found, tensors, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), 1e-11, 1e-11)

    outer = [cavs.tensor(a, requires_grad=True) for a in (x, w, b)]
    z = getattr(ops, name)(*outer, **given)
    (z * cavs.tensor(weights)).sum().backward()
    np.testing.assert_allclose(z.data, expected.detach().numpy(), 1e-11, 1e-11)
    for mine, theirs in zip(outer, tensors, strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad.numpy(), 1e-11, 1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_the_reference_is_the_engine(form: str) -> None:
    name, shape, of_weight, given, _ = FORMS[form]
    x, w = drawn(ROWS, *shape), drawn(*of_weight, seed=1)
    found = []
    for executor in ("native", "reference"):
        function = Convolution(name, shape, w, None, **given)
        model = cavs.compile(function, dtype="float64", executor=executor)
        pulled = cavs.tensor(x, requires_grad=True)
        y = model(graphs(), x=pulled)["y"]
        (y * y).sum().backward()
        found.append((y.data, pulled.grad, function.weight.grad))
    for mine, expected in zip(*found, strict=True):
        np.testing.assert_allclose(mine, expected, 1e-11, 1e-10)


class OfArrays(cavs.VertexFunction):
    """Weights, biases and an image that are arrays of NumPy."""

    def forward(self, v: cavs.Vertex) -> None:
        x, up = v.pull("x", (2, 9)), drawn(2, 3, 2, seed=1)
        y = ops.conv1d(x, drawn(3, 2, 2, seed=2), drawn(3, seed=3), padding=(1, 0))
        z = ops.conv_transpose1d(x, up, drawn(3, seed=4), padding=(1, 0))
        v.push(y=y, z=z, w=ops.conv1d(drawn(2, 9, seed=5), ops.reshape(x, (3, 2, 3))))


@pytest.mark.parametrize("options", [{}, {"executor": "reference"}])
def test_arrays_as_weights_and_images(options: dict[str, Any]) -> None:
    x = drawn(ROWS, 2, 9)
    found = cavs.compile(OfArrays(), dtype="float64", **options)(graphs(), x=x)
    t, up = cavs.tensor(x), cavs.tensor(drawn(2, 3, 2, seed=1))
    y = ops.conv1d(t, drawn(3, 2, 2, seed=2), drawn(3, seed=3), padding=(1, 0))
    z = ops.conv_transpose1d(t, up, drawn(3, seed=4), padding=(1, 0))
    np.testing.assert_allclose(found["y"].numpy(), y.numpy(), 1e-11, 1e-11)
    np.testing.assert_allclose(found["z"].numpy(), z.numpy(), 1e-11, 1e-11)
    for row, w in zip(found["w"].numpy(), x.reshape(ROWS, 3, 2, 3), strict=True):
        one = ops.conv1d(cavs.tensor(drawn(2, 9, seed=5)), cavs.tensor(w))
        np.testing.assert_allclose(row, one.numpy(), 1e-11, 1e-11)


def test_padding_by_side_makes_a_causal_convolution() -> None:
    x, w = drawn(2, 3, 7), drawn(4, 3, 3, seed=1)
    y = ops.conv1d(cavs.tensor(x), cavs.tensor(w), padding=(2, 0)).data
    padded = np.pad(x, [(0, 0), (0, 0), (2, 0)])
    expected = sum(np.einsum("ncl,oc->nol", padded[:, :, k : k + 7], w[:, :, k]) for k in range(3))
    np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
    by_side = ops.conv2d(
        cavs.tensor(x[:, :, None]), cavs.tensor(w[:, :, None]), padding=(0, 0, 2, 0)
    )
    np.testing.assert_array_equal(by_side.data[:, :, 0], y)


def test_masked_taps_have_no_part() -> None:
    mask = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], bool)
    x, w = drawn(ROWS, 3, 6, 6), drawn(4, 3, 3, 3, seed=1)
    function = Convolution("conv2d", (3, 6, 6), w, None, padding=1, mask=mask)
    whole = Convolution("conv2d", (3, 6, 6), w * mask, None, padding=1)
    found = []
    for each in (function, whole):
        model = cavs.compile(each, dtype="float64")
        pulled = cavs.tensor(x, requires_grad=True)
        y = model(graphs(), x=pulled)["y"]
        (y * y).sum().backward()
        found.append((y.data, pulled.grad, each.weight.grad))
    (y, dx, dw), (expected, of_x, of_w) = found
    np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
    np.testing.assert_allclose(dx, of_x, 1e-11, 1e-11)
    np.testing.assert_allclose(dw, of_w * mask, 1e-11, 1e-11)
    assert not dw[..., ~mask].any()


def test_masked_taps_are_not_counted_as_work() -> None:
    def work(mask: Any) -> int:
        model = cavs.compile(
            Convolution("conv2d", (3, 6, 6), drawn(4, 3, 3, 3), None, padding=1, mask=mask)
        )
        program = model._compiler.inference()
        instructions = (x for s in program.segments for x in s.instructions)
        return sum(x.flops for x in instructions if x.kernel == "conv")

    assert work(None) == 2 * 4 * 3 * 9 * 36
    assert work([[1, 1, 1], [1, 0, 0], [0, 0, 0]]) == 2 * 4 * 3 * 4 * 36


class PerVertex(cavs.VertexFunction):
    """A weight of each vertex, an image of all."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = cavs.Parameter(image)

    def forward(self, v: cavs.Vertex) -> None:
        w, x = v.pull("w", (4, 2, 3, 3)), v.pull("x", (2, 5, 6))
        y = ops.conv2d(x, w, padding=1) + ops.conv2d(self.image, w, padding=1)
        v.push(y=y, z=ops.conv_transpose2d(y, w, stride=2))


@pytest.mark.parametrize("options", [{}, {"passes": ()}, {"executor": "reference"}])
def test_weights_of_vertices(options: dict[str, Any]) -> None:
    x, w, image = drawn(ROWS, 2, 5, 6), drawn(ROWS, 4, 2, 3, 3, seed=1), drawn(2, 5, 6, seed=2)
    function = PerVertex(image)
    model = cavs.compile(function, dtype="float64", **options)
    pulled = [cavs.tensor(a, requires_grad=True) for a in (x, w)]
    out = model(graphs(), x=pulled[0], w=pulled[1])
    (out["y"].sum() + (out["z"] * out["z"]).sum()).backward()

    grads: list[Any] = [np.zeros_like(x), np.zeros_like(w), np.zeros_like(image)]
    for r in range(ROWS):
        own = [cavs.tensor(a, requires_grad=True) for a in (x[r], w[r], image)]
        y = ops.conv2d(own[0], own[1], padding=1) + ops.conv2d(own[2], own[1], padding=1)
        z = ops.conv_transpose2d(y, own[1], stride=2)
        (y.sum() + (z * z).sum()).backward()
        np.testing.assert_allclose(out["z"].data[r], z.data, 1e-11, 1e-11)
        grads[0][r], grads[1][r] = own[0].grad, own[1].grad
        grads[2] += own[2].grad
    for mine, expected in zip((pulled[0], pulled[1], function.image), grads, strict=True):
        np.testing.assert_allclose(mine.grad, expected, 1e-10, 1e-9)


class OfParameters(cavs.VertexFunction):
    """A convolution without rows, beside one that reads it as its weight."""

    def __init__(self, image: np.ndarray, weight: np.ndarray) -> None:
        self.image, self.weight = cavs.Parameter(image), cavs.Parameter(weight)

    def forward(self, v: cavs.Vertex) -> None:
        once = ops.conv2d(self.image, self.weight, padding=1)
        v.push(y=ops.conv2d(v.pull("x", (2, 5, 6)), ops.reshape(once, (2, 2, 5, 3)), padding=2))


def test_of_parameters_alone() -> None:
    x, image, weight = drawn(ROWS, 2, 5, 6), drawn(2, 5, 3, seed=1), drawn(4, 2, 3, 3, seed=2)
    function = OfParameters(image, weight)
    y = cavs.compile(function, dtype="float64")(graphs(), x=x)["y"]
    (y * y).sum().backward()
    outer = [cavs.tensor(a, requires_grad=True) for a in (image, weight)]
    once = ops.conv2d(outer[0], outer[1], padding=1)
    expected = ops.conv2d(cavs.tensor(x), ops.reshape(once, (2, 2, 5, 3)), padding=2)
    (expected * expected).sum().backward()
    np.testing.assert_allclose(y.data, expected.data, 1e-11, 1e-11)
    for mine, theirs in zip((function.image, function.weight), outer, strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, 1e-10, 1e-9)


class OnLevels(cavs.VertexFunction):
    """A convolution of what the children scattered."""

    def __init__(self) -> None:
        self.weight = cavs.Parameter(drawn(3, 3, 3, 3) * 0.3)
        self.down = cavs.Parameter(drawn(3, 2, 2, 2, seed=1))

    def forward(self, v: cavs.Vertex) -> None:
        x = ops.conv2d(v.pull("x", (2, 8, 10)), self.down, stride=2)
        below = v.gather(h=(3, 4, 5)).h
        h = ops.tanh(x + ops.conv2d(below, self.weight, padding=1).sum())
        v.scatter(h=h)
        v.push(h=h)


def test_along_the_levels_of_graphs() -> None:
    trees = [cavs.InputGraph([[], [], [0, 1], [2], []]), cavs.InputGraph([[], [0], [1, 0]])]
    batch, found = cavs.batch(trees), []
    x = drawn(batch.num_vertices, 2, 8, 10, seed=4)
    for options in ({"executor": "reference"}, {}, {"passes": ()}):
        function = OnLevels()
        model = cavs.compile(function, dtype="float64", **options)
        pulled = cavs.tensor(x, requires_grad=True)
        h = model(batch, x=pulled)["h"]
        (h * h).sum().backward()
        found.append((h.data, pulled.grad, function.weight.grad, function.down.grad))
    for other in found[1:]:
        for mine, expected in zip(other, found[0], strict=True):
            np.testing.assert_allclose(mine, expected, 1e-10, 1e-10)


class Penalty(cavs.VertexFunction):
    """The slope of a score by its image, as a gradient penalty has it."""

    def __init__(self) -> None:
        self.first = cavs.Parameter(drawn(4, 2, 3, 3) * 0.4)
        self.second = cavs.Parameter(drawn(4, 3, 2, 2, seed=1) * 0.4)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (2, 5, 5))
        hidden = ops.tanh(ops.conv2d(x, self.first, stride=2, padding=1))
        score = ops.square(ops.conv_transpose2d(hidden, self.second, stride=2)).sum()
        (slope,) = cavs.grad(score, x)
        v.push(loss=ops.square(ops.square(slope).sum() - 1.0))


def test_second_derivatives_are_central_differences() -> None:
    function, x = Penalty(), drawn(3, 2, 5, 5, seed=5)
    model = cavs.compile(function, dtype="float64")

    def loss(values: np.ndarray) -> Any:
        return model(graphs(3), x=values)["loss"].sum()

    pulled = cavs.tensor(x, requires_grad=True)
    model(graphs(3), x=pulled)["loss"].sum().backward()
    step = 1e-6
    for parameter in (function.first, function.second):
        for at in range(0, parameter.size, 7):
            ends = []
            for sign in (1.0, -1.0):
                with parameter.writing() as array:
                    array.reshape(-1)[at] += sign * step
                ends.append(loss(x).item())
                with parameter.writing() as array:
                    array.reshape(-1)[at] -= sign * step
            expected = (ends[0] - ends[1]) / (2 * step)
            found = parameter.grad.reshape(-1)[at]
            assert abs(found - expected) < 1e-6 * max(1.0, abs(expected))
    for at in range(0, x.size, 11):
        ends = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved.reshape(-1)[at] += sign * step
            ends.append(loss(moved).item())
        expected = (ends[0] - ends[1]) / (2 * step)
        found = pulled.grad.reshape(-1)[at]
        assert abs(found - expected) < 1e-6 * max(1.0, abs(expected))


def test_gradients_that_nobody_wants_are_not_computed() -> None:
    model = cavs.compile(Convolution("conv2d", (1, 6, 6), drawn(4, 1, 3, 3), None))
    assert "conv_input" not in kernels_in(model, learning=())
    assert "conv_weight_reduce" in kernels_in(model, learning=())
    assert "conv_input" in kernels_in(model, learning=("x",))


SIZES = (
    ((3, 13, 9), (5, 3, 3, 3), 1),
    ((33, 7, 7), (40, 33, 3, 3), 1),
    ((8, 9, 9), (16, 8, 5, 5), 2),
)


@pytest.mark.parametrize(("image", "weight", "stride"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_and_company_change_no_bits(
    image: tuple[int, ...], weight: tuple[int, ...], stride: int, dtype: str
) -> None:
    rows = 40
    x, w = drawn(rows, *image).astype(dtype), drawn(*weight, seed=1).astype(dtype)
    found = []
    for threads in (1, 2, 3):
        cavs.set_num_threads(threads)
        function = Convolution("conv2d", image, w, None, padding=1, stride=stride)
        model = cavs.compile(function, dtype=dtype)
        pulled = cavs.tensor(x, requires_grad=True)
        y = model(graphs(rows), x=pulled)["y"]
        (y * y).sum().backward()
        found.append((y.data, pulled.grad, function.weight.grad))
        alone = model(graphs(1), x=x[7:8])["y"]
        np.testing.assert_array_equal(alone.data[0], y.data[7])
    for other in found[1:]:
        for mine, expected in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(mine, expected)


def test_images_larger_than_a_thread_keeps() -> None:
    x, w = drawn(2, 8, 150, 170).astype(np.float32), drawn(4, 8, 3, 3, seed=1).astype(np.float32)
    function = Convolution("conv2d", (8, 150, 170), w, None, padding=1)
    model = cavs.compile(function)
    pulled = cavs.tensor(x, requires_grad=True)
    y = model(graphs(2), x=pulled)["y"]
    y.sum().backward()
    outer = [cavs.tensor(a.astype(np.float64), requires_grad=True) for a in (x, w)]
    expected = ops.conv2d(outer[0], outer[1], padding=1)
    expected.sum().backward()
    np.testing.assert_allclose(y.data, expected.data, 1e-4, 1e-4)
    np.testing.assert_allclose(pulled.grad, outer[0].grad, 1e-4, 1e-4)
    np.testing.assert_allclose(function.weight.grad, outer[1].grad, 1e-4, 0.1)


@pytest.mark.parametrize("form", ["groups", "stride", "sequence", "transposed, groups"])
def test_panels_follow_the_weight(form: str) -> None:
    """In inference a weight stands in panels until it changes."""
    name, shape, of_weight, given, _ = FORMS[form]
    x, w = drawn(ROWS, *shape), drawn(*of_weight, seed=1)
    function = Convolution(name, shape, w.copy(), None, **given)
    model = cavs.compile(function, dtype="float64").eval()
    with cavs.no_grad():
        for factor in (1.0, 1.0, -2.0):
            with function.weight.writing() as array:
                array[...] = w * factor
            for _ in range(2):
                y = model(graphs(), x=x)["y"].data
                expected = getattr(ops, name)(cavs.tensor(x), cavs.tensor(w * factor), **given).data
                np.testing.assert_allclose(y, expected, 1e-11, 1e-11)
