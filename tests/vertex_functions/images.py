"""Functions of images: convolutions with weights, windows, and gradients of their gradients."""

from __future__ import annotations

import cavs
from cavs import ops
from vertex_functions.base import listed, parameter


@listed
class Images(cavs.VertexFunction):
    """Convolutions of what is pulled and of what children have, by weights without rows; windows
    of them, and the gradient of a score by the image, of which the loss is made."""

    def __init__(self) -> None:
        self.w, self.back = parameter(4, 2, 3, 2), parameter(4, 2, 2, 2)
        self.line = parameter(2, 2, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (2, 5, 4)) + v.gather(h=(2, 5, 4)).h.sum() * 0.5
        deep = ops.conv2d(x, self.w, stride=(2, 1), padding=1)
        new = ops.conv_transpose2d(ops.tanh(deep), self.back, stride=(2, 1))
        v.scatter(h=ops.tanh(new[:, :5, :4]))
        most = ops.max_pool(deep, (2, 2), (1, 2))
        line = ops.conv1d(ops.reshape(x, (2, 20)), self.line, dilation=2)
        (slope,) = cavs.grad(ops.sum(ops.square(most)) + ops.sum(ops.tanh(line)), [x])
        v.push(most=most, line=line, loss=ops.sum(ops.tanh(slope)))
