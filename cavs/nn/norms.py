"""Layers that normalise by the batch, and linear layers of normalised weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from cavs._arguments import boolean, instance, integer, number
from cavs.core import ops
from cavs.core.ops._def import shape_of
from cavs.core.ops.mode import check_traced
from cavs.core.vertex import Module
from cavs.device import device_of
from cavs.errors import ShapeError
from cavs.nn import init
from cavs.nn.layers import Linear, empty
from cavs.tensor import Buffer, Parameter


class BatchNorm(Module):
    """Normalises each feature over all rows of the batch, then scales and shifts it (Ioffe and
    Szegedy 2015). It works in vertex functions only.

    A call in training mode normalises by its own mean and variance and moves the running averages
    towards them, by `momentum`; in evaluation the averages take their place, and a vertex has the
    same value alone and in company. In training a value depends on the whole batch, so what is
    normalised must not depend on states that depend on it.

    Attributes:
        weight: (size,), ones; None without `affine`.
        bias: (size,), zeros; None without `affine`.
        running_mean, running_var: buffers (size,), from 0 and 1 on. The variance is that of a
            sample, divided by one less than the number of values.
        eps: added to the variance.
        momentum: the share of the new value in the averages, from 0 to below 1.
    """

    running_mean: Buffer
    running_var: Buffer

    def __init__(
        self,
        size: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dtype: Any = "float32",
    ) -> None:
        shape = (integer("batch_norm", "size", size, 1, error=ShapeError),)
        boolean("batch_norm", "affine", affine)
        self.eps = number("batch_norm", "eps", eps, 0)
        self.momentum = number("batch_norm", "momentum", momentum, 0, 1)
        self.weight = init.constant_(empty(shape, dtype), 1.0) if affine else None
        self.bias = empty(shape, dtype) if affine else None
        self.register_buffer("running_mean", np.zeros(shape, dtype))
        self.register_buffer("running_var", np.ones(shape, dtype))

    def forward(self, x: Any) -> Any:
        """Shapes: x (size,), or (size, ...) where the further axes are positions, such as those of
        an image, over which the statistics go as over rows; the result has the same."""
        check_traced("batch_norm")
        given, size = shape_of("batch_norm", x), self.running_mean.shape[0]
        if not given or given[0] != size:
            raise ShapeError(
                f"[batch_norm] expected a first axis of {size}, got shape {given}; make the layer "
                "of the input's size"
            )
        positions = int(np.prod(given[1:]))
        column = (size,) if len(given) == 1 else (size, 1)
        x = x if len(given) == 1 else ops.reshape(x, (size, positions))

        def mean(value: Any) -> Any:
            rows = ops.batch_mean(value)
            return rows if len(given) == 1 else ops.mean(rows, -1)

        def kept(value: Any, buffer: Any, sample: Any) -> Any:
            new = (1.0 - self.momentum) * buffer + self.momentum * sample
            return ops.running(value, buffer, new)

        average = mean(x)
        average = kept(average, self.running_mean, average)
        centred = x - ops.reshape(average, column)
        variance = mean(ops.square(centred))
        count = ops.batch_count(x) * float(positions)
        sample = variance * (count / ops.maximum(count - 1.0, 1.0))
        scale = ops.rsqrt(kept(variance, self.running_var, sample) + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        y = centred * ops.reshape(scale, column)
        if self.bias is not None:
            y = y + ops.reshape(self.bias, column)
        return ops.reshape(y, given)

    def __repr__(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        size = self.running_mean.shape[0]
        return f"BatchNorm({size}, eps={self.eps}, momentum={self.momentum}{affine})"


class WeightNorm(Module):
    """A linear layer whose weight is g v / |v|, row by row (Salimans and Kingma 2016, eq. 2).

    Attributes:
        weight_g: (out,), the lengths of the weight's rows.
        weight_v: (out, in), their directions.
        bias: (out,), or None.
    """

    def __init__(self, layer: Linear) -> None:
        """Begins with the weight of `layer`, and has its bias."""
        instance("weight_norm", "layer", layer, Linear, "a cavs.nn.Linear")
        self.weight_v = layer.weight
        self.weight_g = Parameter(np.linalg.norm(_values(layer.weight), axis=1))
        self.bias = layer.bias

    def forward(self, x: Any) -> Any:
        """Shapes: x (in,) or (n, in) -> (out,) or (n, out)."""
        length = ops.sqrt(ops.sum(ops.square(self.weight_v), -1))
        y = ops.linear(x, self.weight_v) * (self.weight_g / length)
        return y if self.bias is None else y + self.bias

    def __repr__(self) -> str:
        return _of_linear(self, self.weight_v, self.bias)


class SpectralNorm(Module):
    """A linear layer whose weight is divided by its greatest singular value (Miyato et al. 2018).

    The singular vectors come from power iteration, a step of which each call in training mode takes
    (algorithm 1 there); evaluation uses the last ones. No gradient flows through them. It works in
    vertex functions only.

    Attributes:
        weight: (out, in), that of the layer.
        bias: (out,), or None.
        left, right: buffers (out,) and (in,), the singular vectors.
        eps: added to lengths that are divided by.
    """

    left: Buffer
    right: Buffer

    def __init__(self, layer: Linear, eps: float = 1e-12) -> None:
        """Has the weight and the bias of `layer`, and finds the singular vectors."""
        instance("spectral_norm", "layer", layer, Linear, "a cavs.nn.Linear")
        self.eps = number("spectral_norm", "eps", eps, 0)
        self.weight, self.bias = layer.weight, layer.bias
        weight = _values(layer.weight)
        left = self.register_buffer("left", np.zeros(len(weight), weight.dtype))
        right = self.register_buffer("right", np.zeros(weight.shape[1], weight.dtype))
        init.normal_(left)
        u = left.read()[0]
        for _ in range(_FIRST_STEPS):
            v = weight.T @ u
            v /= np.linalg.norm(v) + self.eps
            u = weight @ v
            u /= np.linalg.norm(u) + self.eps
        left.copy_in(u)
        right.copy_in(v)

    def forward(self, x: Any) -> Any:
        """Shapes: x (in,) or (n, in) -> (out,) or (n, out)."""
        check_traced("spectral_norm")
        right = self._unit(ops.matmul(self.left, self.weight))
        left = self._unit(ops.linear(right, self.weight))
        right, left = (
            ops.running(new, buffer, new)
            for new, buffer in ((right, self.right), (left, self.left))
        )
        greatest = ops.sum(left * ops.linear(right, self.weight))
        y = ops.linear(x, self.weight) / greatest
        return y if self.bias is None else y + self.bias

    def _unit(self, value: Any) -> Any:
        value = ops.stop_gradient(value)
        return value / (ops.sqrt(ops.sum(ops.square(value))) + self.eps)

    def __repr__(self) -> str:
        return _of_linear(self, self.weight, self.bias)


_FIRST_STEPS = 15


def _values(parameter: Parameter) -> Any:
    """Its values on the host."""
    values = parameter.read()[0]
    return device_of(values).to_host(values)


def _of_linear(module: Module, weight: Any, bias: Any) -> str:
    size_out, size_in = weight.shape
    return f"{type(module).__name__}({size_in}, {size_out}, bias={bias is not None})"
