"""MADE: an autoencoder whose masks make it a product of conditionals (Germain et al. 2015)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs._arguments import choice, integer
from cavs.models._pixels import DrawnPixels
from cavs.models._shared import check_sizes, set_pixel_means

ORDERS = ("one", "many")


class MADE(cavs.VertexFunction):
    """Layers of hidden units that see only the pixels before the one that they speak of.

    Germain, Gregor, Murray and Larochelle, *MADE: Masked Autoencoder for Distribution Estimation*
    (2015), section 4, with connections A from pixels to pixels. Pixel d has the place m^0(d) in an
    order, 1 to D, and unit k of layer l a degree m^l(k); a weight is there where the degrees allow
    it::

        M^l = 1[m^l(k) >= m^{l-1}(j)]    M^V = 1[m^0(d) > m^L(k)]
        h^l = relu(b^l + (W^l * M^l) h^{l-1}),  h^0 = x
        M^A = 1[m^0(d) > m^0(e)]
        p(x_d = 1 | pixels of a lower place) = sigmoid(c + (V * M^V) h^L + (A * M^A) x)_d

    so that log p(x) is a sum over pixels. With `num_masks` above 1 there are so many drawings of
    the degrees, which training cycles through (section 4.4), and with `orders` ``many`` each of
    them has an order of its own (section 4.3); ``one``: pixels stand line by line. A mixture of all
    of them is a better density than each: see :class:`cavs.training.Density`.

    A graph is an image, one vertex.

    Inputs: ``image``: (image_size,) per graph, of 0 and 1; ``order``: (image_size,) and
    ``degrees``: (num_layers, hidden_size) per batch, as :meth:`in_order` gives them.
    Outputs: ``loss``: () -log p(image), in nats; ``logits``: (image_size,) of the conditionals.

    Raises:
        ShapeError: a size that is no integer of 1 or more; InputError: an unknown `orders`.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_size: int = 500,
        num_layers: int = 1,
        num_masks: int = 1,
        orders: str = "one",
        mask_seed: int = 0,
    ) -> None:
        check_sizes(
            image_size=image_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            num_masks=num_masks,
        )
        self.image_size, self.hidden_size, self.num_masks = image_size, hidden_size, num_masks
        self.orders = choice("models", "orders", orders, ORDERS)
        self.mask_seed = integer("models", "mask_seed", mask_seed, 0)
        sizes = [image_size, *[hidden_size] * num_layers]
        self.hidden = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.pixels = nn.Linear(hidden_size, image_size)
        self.direct = nn.Parameter(np.zeros((image_size, image_size), np.float32))

    def set_pixel_means(self, means: Any) -> None:
        """Sets biases with which pixels are 1 as often as in the data: `means` is (image_size,)."""
        set_pixel_means(self.pixels.bias, means)

    def in_order(self, number: int = 0) -> dict[str, Any]:
        """The inputs ``order`` and ``degrees`` of one of the `num_masks` drawings, which
        `mask_seed` and its number decide; arrays of float32."""
        number = integer("models", "number", number, 0)
        rng = np.random.default_rng([self.mask_seed, number % self.num_masks])
        order = np.arange(1, self.image_size + 1)
        if self.orders == "many":
            order = rng.permutation(order)
        degrees, least = [], 1
        for layer in self.hidden:
            # A unit of a lower degree than all below it would see nothing (section 4.2).
            drawn = rng.integers(least, max(self.image_size, least + 1), layer.weight.shape[0])
            degrees.append(drawn)
            least = int(drawn.min())
        return {"order": np.float32(order), "degrees": np.array(degrees, np.float32)}

    def masked(self, order: Any, degrees: Any) -> list[Any]:
        """The weights of all layers, the last one's those of the pixels, with zeros where the masks
        have them."""
        weights, below = [], order
        for number, layer in enumerate(self.hidden):
            above = degrees[number]
            weights.append(layer.weight * ops.greater_equal(above[:, None], below))
            below = above
        return [*weights, self.pixels.weight * ops.greater(order[:, None], below)]

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        order = v.pull_batch("order", self.image_size)
        degrees = v.pull_batch("degrees", (len(self.hidden), self.hidden_size))
        *weights, last = self.masked(order, degrees)
        h = x
        for weight, layer in zip(weights, self.hidden, strict=True):
            h = ops.relu(ops.linear(h, weight, layer.bias))
        direct = self.direct * ops.greater(order[:, None], order)
        logits = ops.linear(h, last, self.pixels.bias) + ops.linear(x, direct)
        loss = ops.sum(ops.binary_cross_entropy_with_logits(logits, x))
        v.push(loss=loss, logits=logits)

    def sampler(self) -> MADESampler:
        """The function that draws images pixel by pixel, by the first of the masks."""
        return MADESampler(self)


class MADESampler(DrawnPixels):
    """The next pixel of an image that a :class:`MADE` draws by one of its masks. The state is what
    the first layer and the logits have of the pixels so far: a pixel adds a column of the weights
    of each."""

    def __init__(self, made: MADE, number: int = 0) -> None:
        self.made, self.state_size = made, made.hidden_size + made.image_size
        self.given = made.in_order(number)
        self.order = np.argsort(self.given["order"]).astype(np.int32)

    def start(self) -> Any:
        biases: list[Any] = [self.made.hidden[0].bias, self.made.pixels.bias]
        return ops.concat(biases)

    def logit(self, a: Any, pixel: Any) -> Any:
        made = self.made
        h, logits = ops.relu(a[: made.hidden_size]), a[made.hidden_size :]
        order, degrees = (ops.constant(self.given[name]) for name in ("order", "degrees"))
        _, *weights, _ = made.masked(order, degrees)
        for weight, layer in zip(weights, made.hidden[1:], strict=True):
            h = ops.relu(ops.linear(h, weight, layer.bias))
        seen = ops.greater(ops.pick(order, pixel), degrees[-1])  # a row of M^V
        row = ops.embedding(made.pixels.weight, pixel)
        return ops.pick(logits, pixel) + ops.sum(row * seen * h)

    def added(self, pixel: Any, bit: Any) -> Any:
        made = self.made
        order, degrees = (ops.constant(self.given[name]) for name in ("order", "degrees"))
        place = ops.pick(order, pixel)
        hidden = ops.greater_equal(degrees[0], place) * ops.take(made.hidden[0].weight, pixel)
        # Logits of pixels before it are not read any more, so that M^A is not wanted.
        return bit * ops.concat([hidden, ops.take(made.direct, pixel)])
