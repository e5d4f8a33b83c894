"""PixelCNN: masked convolutions of images of bits (van den Oord et al. 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.errors import ShapeError
from cavs.models._pixels import Drawn, PixelFunction
from cavs.models._shared import check_sizes, set_pixel_means

FIRST_KERNEL = 7


class PixelCNN(cavs.VertexFunction):
    """A stack of masked convolutions, which gives the conditionals of all pixels at once.

    Van den Oord, Kalchbrenner and Kavukcuoglu, *Pixel Recurrent Neural Networks* (2016), figure 5
    and table 1, for images of bits. With `h` channels, of which blocks have twice as many outside::

        u_0 = A * x                        7 x 7, of the pixels before
        a_l = relu(V_l * relu(u_{l-1}))    1 x 1, 2h -> h
        b_l = relu(B_l * a_l)              k x k, of the pixels before and the pixel's own
        u_l = u_{l-1} + U_l * b_l          1 x 1, h -> 2h
        p(x_d = 1 | the pixels before) = sigmoid(Z * relu(Y * relu(u_L)))_d

    where * is a convolution with a bias, and pixels stand line by line. :class:`PixelCNNGrid` is
    the same as a graph of pixels.

    A graph is an image, one vertex.

    Inputs: ``image``: (image_size,) per graph, of 0 and 1.
    Outputs: ``loss``: () -log p(image), in nats; ``logits``: (image_size,) of the conditionals.

    Raises:
        ShapeError: a size that is no integer of 1 or more, an `image_width` that does not divide
            the `image_size`, or an even `kernel_size`.
    """

    def __init__(
        self,
        image_size: int = 784,
        image_width: int = 28,
        channels: int = 16,
        num_layers: int = 7,
        kernel_size: int = 5,
    ) -> None:
        check_sizes(
            image_size=image_size,
            image_width=image_width,
            channels=channels,
            num_layers=num_layers,
            kernel_size=kernel_size,
        )
        if image_size % image_width:
            raise ShapeError(
                f"[models] expected an image_width that divides {image_size} pixels, got "
                f"{image_width}; pass the number of columns"
            )
        self.image_size = image_size
        self.height, self.width = image_size // image_width, image_width
        self.channels = channels
        self.first = nn.MaskedConv2d(1, 2 * channels, FIRST_KERNEL, "A")
        self.blocks = [_Block(channels, kernel_size) for _ in range(num_layers)]
        self.hidden = nn.Conv2d(2 * channels, channels, 1)
        self.pixels = nn.Conv2d(channels, 1, 1)

    def set_pixel_means(self, means: Any) -> None:
        """Sets the bias with which pixels are 1 as often as in the data: `means` is
        (image_size,)."""
        set_pixel_means(self.pixels.bias, np.mean(means, keepdims=True))

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        u = self.first(x.reshape(1, self.height, self.width))
        for block in self.blocks:
            a = ops.relu(block.narrow(ops.relu(u)))
            b = ops.relu(block.masked(a))
            u = u + block.widen(b)
        logits = self.pixels(ops.relu(self.hidden(ops.relu(u)))).reshape(-1)
        loss = ops.sum(ops.binary_cross_entropy_with_logits(logits, x))
        v.push(loss=loss, logits=logits)

    def grid(self) -> PixelCNNGrid:
        """The same density as a graph of pixels."""
        return PixelCNNGrid(self)

    def sampler(self) -> PixelCNNSampler:
        """The function that draws images pixel by pixel."""
        return PixelCNNSampler(self)


class _Block(nn.Module):
    """The layers of a residual block."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        self.masked = nn.MaskedConv2d(channels, channels, kernel_size, "B")
        self.widen = nn.Conv2d(channels, 2 * channels, 1)


class PixelCNNGrid(PixelFunction):
    """A :class:`PixelCNN` as a graph of pixels: the state of a pixel is what the masked layers read
    of it, its bit and each `a`, so that a layer is computed once for each pixel, whatever comes
    after. The sum of the vertices' ``loss`` is that of the image.

    Attributes:
        graph_sizes: rows, columns and kernel_size of its graph, as :func:`cavs.data.pixel_graph`
            takes them.

    Inputs per vertex: ``bit``: () its value.
    Outputs per vertex: ``loss``: () -log p(bit | the pixels before it).
    """

    def __init__(self, cnn: PixelCNN) -> None:
        self.cnn, self.kernel = cnn, cnn.blocks[0].masked.kernel_size[0]
        self.largest = max(FIRST_KERNEL, self.kernel)
        self.graph_sizes = (cnn.height, cnn.width, self.largest)

    def forward(self, v: cavs.Vertex) -> None:
        cnn, shape = self.cnn, (len(self.cnn.blocks), self.cnn.channels)
        bits = [v.gather(k, bit=()).bit for k in self._places(FIRST_KERNEL)]
        before = [v.gather(k, a=shape).a for k in self._places(self.kernel)]
        u = _masked(cnn.first, [ops.stack(bits)])
        found = []
        for number, block in enumerate(cnn.blocks):
            a = ops.relu(_linear(block.narrow, ops.relu(u)))
            b = ops.relu(_masked(block.masked, [*(x[number] for x in before), a]))
            u = u + _linear(block.widen, b)
            found.append(a)
        logit = ops.sum(_linear(cnn.pixels, ops.relu(_linear(cnn.hidden, ops.relu(u)))))
        v.scatter(bit=self._bit(v, logit), a=ops.stack(found))

    def _places(self, kernel: int) -> list[int]:
        """The children that stand before the centre of a kernel, in the order of its taps."""
        out = (self.largest - kernel) // 2
        taps = [divmod(tap, kernel) for tap in range(kernel * kernel // 2)]
        return [(row + out) * self.largest + column + out for row, column in taps]


class PixelCNNSampler(Drawn, PixelCNNGrid):
    """The next pixel of an image that a :class:`PixelCNN` draws. Pixels whose neighbours before
    them are there are drawn together: of a line those that are far enough behind the line above.

    Attributes:
        order: (pixels,) int32: the pixel that each vertex is.
    """

    def __init__(self, cnn: PixelCNN) -> None:
        super().__init__(cnn)
        self.order = np.arange(cnn.image_size, dtype=np.int32)


def _linear(layer: Any, x: Any) -> Any:
    """A convolution of one tap at a pixel."""
    return ops.linear(x, layer.weight.reshape(layer.out_channels, -1), layer.bias)


def _masked(layer: Any, seen: list[Any]) -> Any:
    """A masked convolution at a pixel, of what its taps see."""
    weight = layer.weight.reshape(layer.out_channels, layer.in_channels, -1)
    taps = sum(map(sum, layer.mask))
    weight = weight[..., :taps].permute(0, 2, 1).reshape(layer.out_channels, -1)
    return ops.linear(ops.concat(seen), weight, layer.bias)
