"""Products of any rank: axes in front of matrices, as of heads, beside NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from second_derivatives import second_derivatives

import cavs
from cavs import ops
from cavs.errors import ShapeError

SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
    ((3, 4), (2, 4, 5)),
    ((6, 1, 3, 4), (2, 4, 5)),
    ((1, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (1, 4, 1)),
    ((2, 2, 1, 1), (2, 2, 1, 3)),
)


class Products(cavs.VertexFunction):
    """Of a pull with another one, with a parameter on either side, and with an array."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self.a, self.b, self.array = cavs.Parameter(a), cavs.Parameter(b), b

    def forward(self, v: cavs.Vertex) -> None:
        a, b = v.pull("a", self.a.shape), v.pull("b", self.b.shape)
        v.push(both=a @ b, left=self.a @ b, right=ops.matmul(a, self.b), array=a @ self.array)


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("options", [{}, {"passes": ()}, {"executor": "reference"}])
def test_products_are_numpys(
    left: tuple[int, ...], right: tuple[int, ...], options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, *left)), rng.normal(size=(3, *right))
    function = Products(a[0], b[0])
    model = cavs.compile(function, dtype="float64", **options)
    xs = [cavs.tensor(x, requires_grad=True) for x in (a, b)]
    out = model(cavs.batch([cavs.InputGraph([[]])] * 3), a=xs[0], b=xs[1])
    expected = {
        "both": [x @ y for x, y in zip(a, b, strict=True)],
        "left": [a[0] @ y for y in b],
        "right": [x @ b[0] for x in a],
        "array": [x @ b[0] for x in a],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(out[name].data, value, 1e-12, 1e-13, err_msg=name)
    sum((y.sum() for y in out.values()), cavs.tensor(0.0, "float64")).backward()
    outer = [cavs.tensor(x, requires_grad=True) for x in (a, b)]
    shared = [cavs.tensor(x[0], requires_grad=True) for x in (a, b)]
    total: Any = 0.0
    for i in range(3):
        x, y = outer[0][i], outer[1][i]
        products = (x @ y, shared[0] @ y, x @ shared[1], x @ b[0])
        for product, name in zip(products, expected, strict=True):
            np.testing.assert_allclose(product.data, expected[name][i], 1e-12, 1e-13)
            total = total + product.sum()
    total.backward()
    for found, wanted in zip(xs, outer, strict=True):
        np.testing.assert_allclose(found.grad, wanted.grad, 1e-11, 1e-12)
    for parameter, wanted in zip((function.a, function.b), shared, strict=True):
        np.testing.assert_allclose(parameter.grad, wanted.grad, 1e-11, 1e-12)


def test_attention_of_heads_and_its_second_derivative_are_torchs() -> None:
    def ours(x: Any) -> Any:
        q, k, v = x[0], x[1], x[2]
        scores = ops.softmax(q @ k.permute(0, 2, 1) * 0.5)
        return scores @ v

    def torchs(t: Any, x: Any) -> Any:
        q, k, v = x[:, 0], x[:, 1], x[:, 2]
        return t.softmax(q @ k.mT * 0.5, -1) @ v

    second_derivatives(ours, torchs, shape=(3, 2, 4, 3))


def test_what_does_not_fit_is_named() -> None:
    class Wrong(cavs.VertexFunction):
        def __init__(self, left: tuple[int, ...], right: tuple[int, ...]) -> None:
            self.left, self.right = left, right

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("a", self.left) @ v.pull("b", self.right))

    for left, right, match in (
        ((2, 3, 4), (2, 5, 4), r"expected equal inner sizes, got 4 and 5"),
        ((2, 3, 4), (3, 4, 5), r"expected shapes that broadcast"),
        ((), (2, 3), r"expected vectors or matrices, got \(\)"),
        ((2, 3, 4), (3,), r"expected equal inner sizes|inner"),
    ):
        with pytest.raises(ShapeError, match=rf"\[matmul\] {match}"):
            cavs.compile(Wrong(left, right))
        with pytest.raises(ShapeError, match=rf"\[matmul\] {match}"):
            ops.matmul(cavs.tensor(np.ones(left)), cavs.tensor(np.ones(right)))
    with pytest.raises(ShapeError, match=r"up to 256 matrices, got 257.*multiply and sum"):
        cavs.compile(Wrong((257, 1, 2), (257, 2, 1)))
