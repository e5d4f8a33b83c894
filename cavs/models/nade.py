"""NADE: conditionals that share their weights (Larochelle and Murray 2011), and its form for any
order of the pixels (Uria et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs._arguments import choice, integer
from cavs.errors import ShapeError
from cavs.models._pixels import DrawnPixels, PixelChain
from cavs.models._shared import check_sizes
from cavs.models.made import ORDERS


class NADE(cavs.VertexFunction):
    """A network with one layer of hidden units for each pixel, given those before it.

    Larochelle and Murray, *The Neural Autoregressive Distribution Estimator* (2011), with rows of W
    in place of columns::

        a_1 = c,  a_{d+1} = a_d + x_d W_d
        h_d = sigmoid(a_d)    p(x_d = 1 | x_1 .. x_{d-1}) = sigmoid(b_d + V_d . h_d)

    All a_d are running sums of what the pixels add, so that an image costs O(D H) in one vertex;
    :class:`NADEChain` is the same as a chain of pixels.

    With `orders` ``many`` one network learns for all orders of the pixels (Uria, Murray and
    Larochelle, *A Deep and Tractable Density Estimator*, 2014). A step shows d pixels of each
    image, where d is uniform in 0 .. D - 1 and m says which, and the others are predicted::

        h = sigmoid(c + (x * m) W + m U)
        loss = D / (D - d) * sum over the others of -log p(x_i | x * m)

    whose mean is that of -log p over all orders. :meth:`ordered` has log p in one of them.

    A graph is an image, one vertex.

    Inputs: ``image``: (image_size,) per graph, of 0 and 1.
    Outputs: ``loss``: () -log p(image) in nats, with ``many`` an estimate of it; ``logits``:
    (image_size,) of the conditionals.

    Raises:
        ShapeError: a size that is no integer of 1 or more, or of 2 or more as `image_size`;
            InputError: an unknown `orders`.
    """

    def __init__(self, image_size: int = 784, hidden_size: int = 500, orders: str = "one") -> None:
        check_sizes(hidden_size=hidden_size)
        integer("models", "image_size", image_size, 2, error=ShapeError)  # one has no conditional
        self.image_size, self.hidden_size = image_size, hidden_size
        self.orders = choice("models", "orders", orders, ORDERS)
        self.w = _rows(image_size, hidden_size)
        self.v = _rows(image_size, hidden_size)
        self.b = nn.Parameter(np.zeros(image_size, np.float32))
        self.c = nn.Parameter(np.zeros(hidden_size, np.float32))
        if self.orders == "many":
            self.u = _rows(image_size, hidden_size)

    def set_pixel_means(self, means: Any) -> None:
        """Sets biases with which pixels are 1 as often as in the data: `means` is (image_size,)."""
        p = np.clip(means, 1e-3, 1 - 1e-3)
        with self.b.writing() as b:
            b[...] = np.log(p / (1 - p))

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        if self.orders == "many":
            self._push_estimate(v, x)
        else:
            self.push_sum(v, x, (self.w, self.v, self.b))

    def _push_estimate(self, v: cavs.Vertex, x: Any) -> None:
        size, u = self.image_size, v.uniform(self.image_size)
        shown = ops.categorical(0.0 * u)  # one-hot: how many pixels
        m = ops.less(u, ops.sum(ops.sort(u) * shown))
        h = ops.sigmoid(self.c + ops.matmul(x * m, self.w) + ops.matmul(m, self.u))
        logits = self.b + ops.matmul(h, self.v.T)
        others = 1.0 - m
        losses = ops.binary_cross_entropy_with_logits(logits, x)
        v.push(loss=size / ops.sum(others) * ops.sum(others * losses), logits=logits)

    def push_sum(
        self, v: cavs.Vertex, x: Any, weights: tuple[Any, Any, Any], seen: Any = 0.0
    ) -> None:
        """Pushes -log p(x) as a sum over pixels in the order in which they stand in x and in the
        rows of `weights`: W, V, b. `seen`: what a pixel adds whether it is 1 or 0."""
        w, v_, b = weights
        added = x[:-1, None] * w[:-1] + seen
        a = ops.cumsum(ops.concat([self.c[None], added], axis=0), axis=0)
        logits = b + ops.sum(v_ * ops.sigmoid(a), axis=-1)
        loss = ops.sum(ops.binary_cross_entropy_with_logits(logits, x))
        v.push(loss=loss, logits=logits)

    def in_order(self, number: int = 0) -> dict[str, Any]:
        """The input ``order`` of :meth:`ordered`, (image_size,) float32: the place of each pixel, 1
        and up, in an order; 0 is line by line, each other number stands for one that it draws."""
        order = np.arange(1, self.image_size + 1)
        if integer("models", "number", number, 0):
            order = np.random.default_rng(number).permutation(order)
        return {"order": np.float32(order)}

    def ordered(self) -> NADEInOrder:
        """The density in an order that comes with the call."""
        return NADEInOrder(self)

    def chain(self) -> NADEChain:
        """The same density as a chain of pixels."""
        return NADEChain(self)

    def sampler(self) -> NADESampler:
        """The function that draws images pixel by pixel."""
        return NADESampler(self)


class NADEInOrder(cavs.VertexFunction):
    """log p(x) by a :class:`NADE` in one order of the pixels: its sum, over the image and the rows
    of the weights in that order.

    Inputs: ``image``: (image_size,) per graph, of 0 and 1; ``order``: (image_size,) per batch, the
    place of each pixel, as :meth:`NADE.in_order` gives it.
    Outputs: ``loss``: () -log p(image), in nats; ``logits``: (image_size,) in that order.
    """

    def __init__(self, nade: NADE) -> None:
        self.nade = nade

    def forward(self, v: cavs.Vertex) -> None:
        nade = self.nade
        order = ops.argsort(v.pull_batch("order", nade.image_size))
        x = ops.take(v.pull_graph("image", nade.image_size), order)
        w, v_ = ops.take(nade.w, order, axis=0), ops.take(nade.v, order, axis=0)
        seen = ops.take(nade.u, order, axis=0)[:-1] if nade.orders == "many" else 0.0
        nade.push_sum(v, x, (w, v_, ops.take(nade.b, order)), seen)


class NADEChain(PixelChain):
    """A :class:`NADE` as a chain of pixels, in any order with ``many`` and line by line with
    ``one``; the sum of the vertices' ``loss`` is that of the image."""

    def __init__(self, nade: NADE) -> None:
        self.nade, self.state_size = nade, nade.hidden_size

    def start(self) -> Any:
        return self.nade.c

    def logit(self, a: Any, pixel: Any) -> Any:
        nade = self.nade
        return ops.pick(nade.b, pixel) + ops.sum(ops.embedding(nade.v, pixel) * ops.sigmoid(a))

    def added(self, pixel: Any, bit: Any) -> Any:
        nade = self.nade
        added = bit * ops.embedding(nade.w, pixel)
        return added + ops.embedding(nade.u, pixel) if nade.orders == "many" else added


class NADESampler(NADEChain, DrawnPixels):
    """The next pixel of an image that a :class:`NADE` draws, line by line."""

    def __init__(self, nade: NADE) -> None:
        super().__init__(nade)
        self.order = np.arange(nade.image_size, dtype=np.int32)


def _rows(image_size: int, hidden_size: int) -> nn.Parameter:
    """A row for each pixel, uniform within what a layer of as many inputs begins with."""
    within = image_size**-0.5
    zeros = np.zeros((image_size, hidden_size), np.float32)
    return nn.init.uniform_(nn.Parameter(zeros), -within, within)
