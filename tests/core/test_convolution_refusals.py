"""What convolutions refuse, and forms of padding that they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.errors import InputError, ShapeError

X, W = cavs.tensor(np.zeros((2, 3, 5, 6))), cavs.tensor(np.zeros((4, 3, 3, 3)))
LINE, OF_LINE = cavs.tensor(np.zeros((3, 6))), cavs.tensor(np.zeros((4, 3, 3)))
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "larger kernel": (
        lambda: ops.conv2d(X, W, dilation=3),
        r"\[conv2d\] expected a kernel within the padded image of 5 x 6, got one .* 7 x 7",
    ),
    "channels": (
        lambda: ops.conv2d(X, W, groups=3),
        r"\[conv2d\] expected 9 channels .* got 3 channels and 4 outputs in 3 groups",
    ),
    "outputs": (lambda: ops.conv2d(X[:, :1], W[:, :1], groups=3), r"4 outputs in 3 groups"),
    "rank of x": (
        lambda: ops.conv2d(X[0, 0], W),
        r"\[conv2d\] expected an input of shape \(C, H, W\)",
    ),
    "rank of w": (lambda: ops.conv2d(X, W[0]), r"\[conv2d\] expected a weight of shape \(O, C, kh"),
    "rank of a line": (lambda: ops.conv1d(LINE[0], OF_LINE), r"\[conv1d\] .* shape \(C, L\)"),
    "bias": (lambda: ops.conv2d(X, W, np.zeros(3)), r"expected a bias of shape \(4,\)"),
    "stride": (lambda: ops.conv2d(X, W, stride=0), r"an integer stride >= 1, got 0"),
    "strides": (lambda: ops.conv2d(X, W, stride=(1, 1, 1)), r"expected 2 numbers as stride"),
    "word": (
        lambda: ops.conv2d(X, W, padding="full"),
        r"expected padding 'same', 'valid' or numbers",
    ),
    "pairs": (
        lambda: ops.conv2d(X, W, padding=((1, 0), 1)),
        r"an integer padding >= 0, got \(1, 0\)",
    ),
    "no channels": (
        lambda: ops.conv2d(X[0, 0], W),
        r"expected an input of shape \(C, H, W\), .*; add the axis of channels, as x\[None\]",
    ),
    "weights as a mask": (
        lambda: ops.conv2d(X, W, mask=np.full((3, 3), 0.5)),
        r"expected truth values as mask, got ndarray of shape .*; pass True or False, or 1 or 0",
    ),
    "same": (lambda: ops.conv2d(X, W, padding="same", stride=2), r"expected a stride of 1"),
    "mask": (
        lambda: ops.conv2d(X, W, mask=np.ones((2, 3))),
        r"a mask of the kernel's shape \(3, 3\)",
    ),
    "negative padding": (lambda: ops.conv2d(X, W, padding=-1), r"an integer padding >= 0, got -1"),
    "a bool": (lambda: ops.conv2d(X, W, dilation=True), r"an integer dilation >= 1, got True"),
    "no truth values": (
        lambda: ops.conv2d(X, W, mask=np.full((3, 3), np.nan)),
        r"expected truth values as mask, got ndarray of shape \(3, 3\); pass True or False",
    ),
    "mask of a line": (
        lambda: ops.conv1d(LINE, OF_LINE, mask=[1, 1]),
        r"a mask of the kernel's shape \(3,\), got \[1, 1\]",
    ),
    "larger kernel of a line": (
        lambda: ops.conv1d(LINE, OF_LINE, dilation=4),
        r"\[conv1d\] expected a kernel within the padded line of 6, got one that reaches over 9;",
    ),
    "no element": (
        lambda: ops.conv2d(X, np.zeros((0, 3, 3, 3))),
        r"a weight of shape \(O, C, kh, kw\), got \(0, 3, 3, 3\)",
    ),
    "padding beyond counting": (
        lambda: ops.conv2d(X, W, padding=10**9),
        r"\[conv2d\] expected fewer than 268,435,456 elements within the reach of the kernel",
    ),
    "stride beyond counting": (
        lambda: ops.conv_transpose2d(X[:, :2], W[:2], stride=2**30),
        r"\[conv_transpose2d\] expected fewer than 268,435,456 elements",
    ),
    "no tap": (
        lambda: ops.conv2d(X, W, mask=np.zeros((3, 3))),
        r"expected a mask that leaves a tap",
    ),
    "same, transposed": (
        lambda: ops.conv_transpose2d(X[:, :2], W[:2], padding="same"),
        r"expected numbers as padding",
    ),
    "output padding": (
        lambda: ops.conv_transpose1d(LINE, OF_LINE[:3], output_padding=1),
        r"expected an output_padding below the stride or the dilation, got 1",
    ),
    "nothing left": (
        lambda: ops.conv_transpose1d(LINE, OF_LINE[:3], padding=4),
        r"expected an output that is left after padding",
    ),
    "channels, transposed": (
        lambda: ops.conv_transpose2d(X, W),
        r"\[conv_transpose2d\] expected 4 channels in groups of equal size, got 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize(
    ("padding", "flat"),
    [(((1, 0), (2, 1)), (1, 0, 2, 1)), ([(1, 1), (0, 0)], (1, 0)), ("valid", 0)],
)
def test_padding_may_be_in_pairs_or_a_word(padding: Any, flat: Any) -> None:
    rng = np.random.default_rng(5)
    x, w = (cavs.tensor(rng.normal(size=each.shape)) for each in (X, W))
    found, expected = (ops.conv2d(x, w, padding=p).numpy() for p in (padding, flat))
    np.testing.assert_array_equal(found, expected)


def test_an_axis_of_the_batch_is_refused_in_a_vertex_function() -> None:
    class Batched(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = cavs.nn.Conv2d(1, 2, 3)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.layer(v.pull("x", (20, 1, 8, 8))))

    with pytest.raises(ShapeError, match=r"shape \(1, H, W\), .*; leave out the axis of the batch"):
        cavs.compile(Batched())


class TooLarge(cavs.VertexFunction):
    def __init__(self) -> None:
        self.weight = cavs.Parameter(np.zeros((4, 3, 7, 7)))

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (3, 5, 5))
        v.push(y=ops.conv2d(x, self.weight))  # the line that errors name


def test_errors_name_the_line() -> None:
    with pytest.raises(ShapeError, match=r"padded image of 5 x 5.*the line that errors name"):
        cavs.compile(TooLarge())


class TooManyAxes(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=ops.conv2d(v.pull("x", (2, 3, 5, 5)), np.zeros((4, 3, 3, 3))))


def test_values_of_vertices_have_no_rows_in_front() -> None:
    with pytest.raises(ShapeError, match=r"shape \(C, H, W\), got \(2, 3, 5, 5\)"):
        cavs.compile(TooManyAxes())


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises((ShapeError, InputError), match=r"groups"):
        ops.conv2d(X, W, groups="two")  # type: ignore[arg-type]
