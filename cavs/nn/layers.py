"""Layers: modules that are called on vertex values and on outer tensors alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cavs._arguments import INT32_MAX, boolean, integer, number, shown
from cavs._arrays import as_array, check_dtype
from cavs.core import ops
from cavs.core.ops._def import shape_of
from cavs.core.ops.random import check_dropout
from cavs.core.tracing import tracing
from cavs.core.vertex import Module
from cavs.errors import ShapeError
from cavs.nn import init
from cavs.tensor import Parameter, check_room


def empty(shape: tuple[int, ...], dtype: Any) -> Parameter:
    """A parameter of zeros, if there is room for it."""
    found = check_dtype(dtype, "layer")
    check_room(shape)
    return Parameter(np.zeros(shape, found))


class Linear(Module):
    """x W^T + b.

    Attributes:
        weight: (out, in), uniform within 1 / sqrt(in) of 0, as in PyTorch.
        bias: (out,), drawn likewise; None in a layer without bias.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = "float32"
    ) -> None:
        boolean("linear", "bias", bias)
        size_in = integer("linear", "in_features", in_features, 1, error=ShapeError)
        size_out = integer("linear", "out_features", out_features, 1, error=ShapeError)
        bound = 1.0 / math.sqrt(size_in)
        self.weight = init.uniform_(empty((size_out, size_in), dtype), -bound, bound)
        self.bias = init.uniform_(empty((size_out,), dtype), -bound, bound) if bias else None

    def forward(self, x: Any) -> Any:
        """Shapes: x (in,) or (n, in) -> (out,) or (n, out)."""
        return ops.linear(x, self.weight, self.bias)

    def __repr__(self) -> str:
        size_out, size_in = self.weight.shape
        return f"Linear({size_in}, {size_out}, bias={self.bias is not None})"


class Embedding(Module):
    """A vector per id; its gradient is row-sparse.

    Attributes:
        weight: (num, size), normal with standard deviation `std`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_size: int,
        *,
        std: float = 1.0,
        values: Any = None,
        dtype: Any = "float32",
    ) -> None:
        """With `values`, an array (num, size), starts from a copy of it.

        Raises:
            ShapeError: `values` has another shape.
        """
        shape = (
            integer("embedding", "num_embeddings", num_embeddings, 1, error=ShapeError),
            integer("embedding", "embedding_size", embedding_size, 1, error=ShapeError),
        )
        std = number("embedding", "std", std, 0)
        self.weight = empty(shape, dtype)
        if values is None:
            init.normal_(self.weight, 0.0, std)
            return
        given = as_array(values, "embedding")
        if given.shape != shape:
            raise ShapeError(
                f"[embedding] expected values of shape {shape}, got {given.shape}; pass a row for "
                "each id"
            )
        with self.weight.writing() as array:
            array[...] = given

    def forward(self, ids: Any) -> Any:
        """Rows of the weight; zeros where the id is -1. Shapes: ids () or (n,) -> (..., size)."""
        return ops.embedding(self.weight, ids)

    def __repr__(self) -> str:
        return f"Embedding({self.weight.shape[0]}, {self.weight.shape[1]})"


class LayerNorm(Module):
    """Normalises feature axes, then scales and shifts them (Ba et al. 2016).

    Attributes:
        weight: (size,), or the sizes of several axes, ones.
        bias: of the same shape, zeros.
        eps: added to the variance.
        axis: the axes, where they are not the last ones; else None.
    """

    def __init__(
        self,
        size: int | tuple[int, ...],
        eps: float = 1e-5,
        dtype: Any = "float32",
        axis: int | tuple[int, ...] | None = None,
    ) -> None:
        """Args:
            size: of the axis that is normalised, or those of several.
            axis: which it is, or they are in ascending order; None for the last ones.

        Raises ShapeError for sizes that are none, or another number of axes than of sizes.
        """
        sizes = size if isinstance(size, (tuple, list)) else (size,)
        shape = tuple(integer("layer_norm", "size", n, 1, error=ShapeError) for n in sizes)
        given = axis if isinstance(axis, (tuple, list)) else (axis,)
        if not shape or (axis is not None and len(given) != len(shape)):
            raise ShapeError(
                f"[layer_norm] expected a size for each axis, got sizes {shape} and axis "
                f"{shown(axis)}; pass as many"
            )
        if axis is not None:
            axis = tuple(integer("layer_norm", "axis", n, -INT32_MAX) for n in given)
        self.weight = init.constant_(empty(shape, dtype), 1.0)
        self.bias = empty(shape, dtype)
        self.eps = number("layer_norm", "eps", eps, 0)
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Shapes: x (..., size) -> (..., size), or with these sizes at the layer's axes."""
        shape, sizes = shape_of("layer_norm", x), self.weight.shape
        last = tuple(range(-len(sizes), 0))
        axes: tuple[int, ...] = last if self.axis is None else self.axis
        fits = all(-len(shape) <= i < len(shape) for i in axes)
        if not fits or tuple(shape[i] for i in axes) != sizes:
            single = f"a last axis of {sizes[0]}" if axes == (-1,) else f"axes {axes} of {sizes}"
            raise ShapeError(
                f"[layer_norm] expected {single}, got shape {x.shape}; make the layer of the "
                "input's size"
            )
        return ops.layer_norm(x, self.weight, self.bias, self.eps, -1 if axes == (-1,) else axes)

    def __repr__(self) -> str:
        shape = self.weight.shape
        axis = "" if self.axis is None else f", axis={self.axis}"
        return f"LayerNorm({shape[0] if len(shape) == 1 else shape}, eps={self.eps}{axis})"


class GroupNorm(Module):
    """Normalises groups of channels over all positions, then scales and shifts each channel (Wu and
    He 2018).

    Attributes:
        groups: how many there are.
        weight: (channels,), ones.
        bias: (channels,), zeros.
        eps: added to the variance.
    """

    def __init__(
        self, groups: int, channels: int, eps: float = 1e-5, dtype: Any = "float32"
    ) -> None:
        """Raises ShapeError where the channels do not divide into the groups."""
        shape = (integer("group_norm", "channels", channels, 1, error=ShapeError),)
        self.groups = integer("group_norm", "groups", groups, 1, error=ShapeError)
        if shape[0] % self.groups:
            raise ShapeError(
                f"[group_norm] expected channels in {groups} groups of one size, got {channels}; "
                f"choose a divisor of {channels}"
            )
        self.weight = init.constant_(empty(shape, dtype), 1.0)
        self.bias = empty(shape, dtype)
        self.eps = number("group_norm", "eps", eps, 0)

    def forward(self, x: Any) -> Any:
        """Shapes: x (channels, ...) -> the same; a tensor has rows, (n, channels, ...)."""
        shape, (channels,) = shape_of("group_norm", x), self.weight.shape
        axis = 0 if tracing() else 1
        if len(shape) <= axis or shape[axis] != channels:
            raise ShapeError(
                f"[group_norm] expected {channels} channels as axis {axis}, got shape {shape}; "
                "make the layer of the input's size"
            )
        return ops.group_norm(x, self.groups, self.weight, self.bias, self.eps, axis)

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.weight.shape[0]}, eps={self.eps})"


class Dropout(Module):
    """Zeroes vertex values with probability `p` while training, and scales the others by 1/(1-p).

    It works in vertex functions only: samples are drawn by vertex, not by position in a batch. With
    ``by="id"`` they are drawn by the ids that a value is computed from; see :func:`ops.dropout`.
    """

    def __init__(self, p: float = 0.5, *, by: str = "vertex") -> None:
        """Raises InputError where `p` is not in [0, 1) or `by` neither ``vertex`` nor ``id``."""
        check_dropout(p, by)
        self.p, self.by = float(p), by

    def forward(self, x: Any) -> Any:
        """Any shape."""
        return ops.dropout(x, self.p, by=self.by)

    def __repr__(self) -> str:
        return f"Dropout({self.p}{'' if self.by == 'vertex' else f', by={self.by!r}'})"
