"""Normalising flows of images: planar, RealNVP, MAF and Glow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs._arguments import choice, integer, number
from cavs.errors import ShapeError
from cavs.models._bijections import (
    ActNorm,
    Autoregressive,
    Bijection,
    Convolution1x1,
    Convolutions,
    Coupling,
    FactoredOut,
    Perceptron,
    Planar,
    Reordered,
    Reshaped,
    Squeeze,
)
from cavs.models._shared import check_sizes
from cavs.nn.distributions import Normal

KINDS = ("planar", "realnvp", "maf", "glow")


class Flow(cavs.VertexFunction):
    """Layers that make normal noise z of an image x, each of which can be undone; a graph is an
    image, one vertex::

        log p(x) = log p(z) + log |det dz/dx|,  p(z) = Normal(0, 1)

    Kinds:

    - ``planar``: planar flows (Rezende and Mohamed 2015), from data to noise.
    - ``realnvp``: couplings of the squares of a checkerboard (Dinh, Sohl-Dickstein and Bengio
      2017), each half in turn, by networks of vectors and in one scale.
    - ``maf``: masked autoregressive flows (Papamakarios, Pavlakou and Murray 2017), their orders
      line by line and backwards in turn.
    - ``glow``: 1 x 1 convolutions and couplings of channels by convolutions, in `num_scales`
      scales, each of which squeezes the image and gives half of it to z (Kingma and Dhariwal 2018).

    Each layer stands behind an :class:`ActNorm`, also where papers have batch normalisation.

    With `levels` the image is of the grey levels 0, 1 .. `levels`, K = `levels` + 1 of them. It is
    made continuous by uniform noise u, and unbounded (Dinh et al. 2017, section 4.1)::

        y = (image + u) / K    x = logit(alpha + (1 - 2 alpha) y)
        log p(image) >= E log p(y) - image_size log K

    Inputs: ``image``: (image_size,) per graph.
    Outputs: ``loss``: () -log p(image) by one drawing of u, in nats; ``z``: (image_size,).

    Args:
        kind: one of the above.
        image_size: the number of pixels.
        width: the number of those in a line.
        levels: the level of white; None: the images are of any real numbers, taken as they are.
        num_layers: how many flows, couplings or MADEs; of ``glow`` in each scale.
        hidden_size: hidden units, or channels, of each layer of the networks.
        num_scales: of ``glow``.
        margin: alpha, which keeps black and white from infinity.

    Raises:
        ShapeError: a size that is no integer of 1 or more, a `width` that does not divide
            `image_size`, sides that are odd in a scale of ``glow``, or a single pixel for the other
            kinds with halves; InputError: an unknown `kind`, or a `margin` outside of 0..0.5.
    """

    def __init__(
        self,
        kind: str = "realnvp",
        image_size: int = 784,
        width: int = 28,
        levels: int | None = 255,
        num_layers: int = 8,
        hidden_size: int = 256,
        num_scales: int = 2,
        margin: float = 0.05,
    ) -> None:
        self.kind = choice("models", "kind", kind, KINDS)
        check_sizes(
            image_size=image_size,
            width=width,
            num_layers=num_layers,
            hidden_size=hidden_size,
            num_scales=num_scales,
        )
        if image_size % width:
            raise ShapeError(
                f"[models] expected a width that divides the image_size of {image_size}, got "
                f"{width}; pass the pixels of a line"
            )
        self.image_size, self.width = image_size, width
        self.levels = None if levels is None else integer("models", "levels", levels, 1)
        self.margin = number("models", "margin", margin, 0, 0.5, above=True)
        self.layers: list[Any] = list(
            self._glow(num_layers, hidden_size, num_scales)
            if kind == "glow"
            else getattr(self, f"_{kind}")(num_layers, hidden_size)
        )

    def _planar(self, num_layers: int, hidden_size: int) -> Iterator[Bijection]:
        yield ActNorm(self.image_size)
        for _ in range(num_layers):
            yield Planar(self.image_size)

    def _realnvp(self, num_layers: int, hidden_size: int) -> Iterator[Bijection]:
        size = self.image_size
        if size < 2:
            raise ShapeError(
                "[models] expected an image_size of 2 or more for realnvp, got 1; pass more pixels"
            )
        row, column = np.divmod(np.arange(size), self.width)
        white = (row + column) % 2
        yield Reordered(np.argsort(white, kind="stable"))
        first = size - int(white.sum())
        for i in range(num_layers):
            flipped = i % 2 == 1
            a, b = (size - first, first) if flipped else (first, size - first)
            yield ActNorm(size)
            yield Coupling(Perceptron(a, hidden_size, 2 * b), first, size, flipped)

    def _maf(self, num_layers: int, hidden_size: int) -> Iterator[Bijection]:
        for i in range(num_layers):
            yield ActNorm(self.image_size)
            yield Autoregressive(self.image_size, hidden_size, backwards=i % 2 == 1)

    def _glow(self, num_layers: int, hidden_size: int, num_scales: int) -> Iterator[nn.Module]:
        c, h, w = 1, self.image_size // self.width, self.width
        yield Reshaped((self.image_size,), (c, h, w))
        for scale in range(num_scales):
            if h % 2 or w % 2:
                raise ShapeError(
                    f"[models] expected even sides in each of {num_scales} scales of glow, got "
                    f"{h} x {w} in scale {scale + 1}; lower num_scales, or take other images"
                )
            yield Squeeze((c, h, w))
            c, h, w = 4 * c, h // 2, w // 2
            for i in range(num_layers):
                network = Convolutions(c // 2, hidden_size, c)
                yield ActNorm(c, h * w)
                yield Convolution1x1(c, h * w)
                yield Coupling(network, c // 2, c, i % 2 == 1, 1, 1)
            if scale + 1 < num_scales:
                yield FactoredOut((c, h, w))
                c //= 2
        yield Reshaped((c, h, w), (c * h * w,))

    def data(self, image: Any, u: Any) -> tuple[Any, Any]:
        """x of an image and of uniform noise, (image_size,), and log |det dx/dimage|."""
        if self.levels is None:
            return image, 0.0
        share = 1.0 - 2.0 * self.margin
        p = self.margin + share * (image + u) / (self.levels + 1.0)
        log_p, log_rest = ops.log(p), ops.log(1.0 - p)
        constant = self.image_size * math.log(share / (self.levels + 1))
        return log_p - log_rest, constant - ops.sum(log_p + log_rest)

    def to_image(self, x: Any) -> Any:
        """The grey, in 0..1, of x."""
        if self.levels is None:
            return x
        return ops.clip((ops.sigmoid(x) - self.margin) / (1.0 - 2.0 * self.margin), 0.0, 1.0)

    def to_noise(self, x: Any, apply: Callable[[Any, Any], Any] | None = None) -> tuple[Any, Any]:
        """z of x, (image_size,), and log |det dz/dx|. `apply` takes a layer and its input, in the
        place of a call of the layer."""
        log_det: Any = 0.0
        noise = []
        for layer in self.layers:
            if isinstance(layer, FactoredOut):
                part, x = layer.halves(x)
                noise.append(part)
            else:
                x, added = layer(x) if apply is None else apply(layer, x)
                log_det = log_det + added
        return ops.concat([*noise, x]), log_det

    def inverse(self, z: Any) -> Any:
        """x of z, (image_size,); not of ``maf``, whose pixels come one after the other."""
        sizes = [layer.size for layer in self.layers if isinstance(layer, FactoredOut)]
        *noise, x = ops.split(z, [*sizes, self.image_size - sum(sizes)])
        for layer in reversed(self.layers):
            out = isinstance(layer, FactoredOut)
            x = layer.joined(noise.pop(), x) if out else layer.inverse(x)
        return x

    def forward(self, v: cavs.Vertex) -> None:
        image = v.pull_graph("image", self.image_size)
        x, of_data = self.data(image, v.uniform(self.image_size))
        z, log_det = self.to_noise(x)
        log_p = ops.sum(Normal(0.0, 1.0).log_prob(z)) + log_det + of_data
        v.push(loss=-log_p, z=z)


class FlowSampler(cavs.VertexFunction):
    """Images that a :class:`Flow`, but for ``maf``, draws: each vertex is one.

    Outputs per vertex: ``mean``: (image_size,) its grey in 0..1.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def forward(self, v: cavs.Vertex) -> None:
        v.push(mean=self.flow.to_image(self.flow.inverse(v.normal(self.flow.image_size))))


class FlowInverse(cavs.VertexFunction):
    """x of noise, by a :class:`Flow` but for ``maf``; each vertex is one.

    Inputs per vertex: ``z``: (image_size,).
    Outputs per vertex: ``x``: (image_size,), before it is made grey.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def forward(self, v: cavs.Vertex) -> None:
        v.push(x=self.flow.inverse(v.pull("z", self.flow.image_size)))


class FirstNorms(cavs.VertexFunction):
    """What each :class:`ActNorm` of a :class:`Flow` is to begin with, so that its output has mean 0
    and variance 1 over the images of a batch, layer after layer.

    Inputs: as :class:`Flow`.
    Outputs of the batch: ``mean0``, ``log_std0``, ``mean1`` ..: (size,) of each.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def norms(self) -> list[Any]:
        """The layers that it speaks of."""
        return [layer for layer in self.flow.layers if isinstance(layer, ActNorm)]

    def forward(self, v: cavs.Vertex) -> None:
        found: dict[str, Any] = {}

        def measured(layer: Any, x: Any) -> Any:
            if not isinstance(layer, ActNorm):
                return layer(x)
            i = len(found) // 2
            mean, log_std = layer.measured(x)
            found[f"mean{i}"], found[f"log_std{i}"] = mean, log_std
            return layer.normalised(x, mean, log_std), 0.0

        image = v.pull_graph("image", self.flow.image_size)
        self.flow.to_noise(self.flow.data(image, v.uniform(self.flow.image_size))[0], measured)
        v.push_batch(**found)


class AutoregressiveInverse(cavs.VertexFunction):
    """x of noise by one :class:`Autoregressive` layer and the :class:`ActNorm` before it: a vertex
    is a pixel, its child the pixel before it in the layer's order. The state `a`, (hidden_size,),
    is what hidden units have of the pixels so far::

        h = relu(a)    y_i = z_i exp(s_i(h)) + m_i(h)    a + W_i y_i  goes on

    Inputs per vertex: ``pixel``: int32, its number in the image; ``z``: () its noise.
    Outputs per vertex: ``x``: ().
    """

    def __init__(self, norm: ActNorm, layer: Autoregressive) -> None:
        self.norm, self.layer = norm, layer

    def forward(self, v: cavs.Vertex) -> None:
        layer, norm, pixel = self.layer, self.norm, v.pull("pixel", dtype="int32")
        before = v.gather(0, a=len(layer.degrees), inside=())
        a = ops.where(before.inside, before.a, layer.hidden.bias)
        w, w_mean, w_log_std = layer.masked()
        h = ops.relu(a)

        def of_pixel(weight: Any, bias: Any) -> Any:
            return ops.sum(ops.embedding(weight, pixel) * h) + ops.pick(bias, pixel)

        m = of_pixel(w_mean, layer.mean.bias)
        s = ops.pick(layer.bound, pixel) * ops.tanh(of_pixel(w_log_std, layer.log_std.bias))
        y = v.pull("z") * ops.exp(s) + m
        v.push(x=y * ops.exp(ops.pick(norm.log_std, pixel)) + ops.pick(norm.mean, pixel))
        v.scatter(a=a + y * ops.take(w, pixel), inside=1.0)
