"""Images as graphs of pixels: densities that are products of conditionals, one vertex for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import cavs
from cavs import ops


class PixelFunction(cavs.VertexFunction):
    """A vertex is a pixel, whose bit is an input."""

    def _bit(self, v: cavs.Vertex, logit: Any) -> Any:
        """The bit of a pixel, (), by its logit."""
        bit = v.pull("bit")
        v.push(loss=ops.binary_cross_entropy_with_logits(logit, bit))
        return bit


class Drawn(PixelFunction):
    """As :class:`PixelFunction`, but each vertex draws its bit;
    :func:`cavs.training.sample_pixels` opens one after the other.

    Attributes:
        order: (pixels,) int32: the pixel that each vertex is.

    Outputs per vertex: ``bit``: () the sample; ``mean``: () its probability.
    """

    order: Any

    def _bit(self, v: cavs.Vertex, logit: Any) -> Any:
        mean = ops.sigmoid(logit)
        bit = ops.less(v.uniform(()), mean)
        v.push(bit=bit, mean=mean)
        return bit


class PixelChain(PixelFunction, ABC):
    """A vertex is a pixel, its child the pixel before it in an order. The state `a`, (state_size,),
    is a running sum of what pixels add, as what hidden units have of the pixels so far.

    Inputs per vertex: ``pixel``: int32, its number in the image; ``bit``: () its value.
    Outputs per vertex: ``loss``: () -log p(bit | the pixels before it).
    """

    state_size: int

    def forward(self, v: cavs.Vertex) -> None:
        pixel = v.pull("pixel", dtype="int32")
        before = v.gather(0, a=self.state_size, inside=())
        a = ops.where(before.inside, before.a, self.start())
        bit = self._bit(v, self.logit(a, pixel))
        v.scatter(a=a + self.added(pixel, bit), inside=1.0)

    @abstractmethod
    def start(self) -> Any:
        """What `a` is before the first pixel."""

    @abstractmethod
    def logit(self, a: Any, pixel: Any) -> Any:
        """The logit of a pixel, (), from the running sum of those before it."""

    @abstractmethod
    def added(self, pixel: Any, bit: Any) -> Any:
        """What a pixel adds to the running sum, (state_size,)."""


class DrawnPixels(Drawn, PixelChain):
    """As :class:`PixelChain`, but each vertex draws its bit.

    Inputs per vertex: ``pixel``: int32, its number in the image.
    Outputs per vertex: ``bit``: () the sample; ``mean``: () its probability.
    """
