"""Layers: modules that are called on vertex values and on outer tensors alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cavs._arguments import boolean, integer, number
from cavs._arrays import as_array, check_dtype
from cavs.core import ops
from cavs.core.ops._def import shape_of
from cavs.core.ops.random import check_dropout
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
    """Normalises the last feature axis, then scales and shifts it (Ba et al. 2016).

    Attributes:
        weight: (size,), ones.
        bias: (size,), zeros.
        eps: added to the variance.
    """

    def __init__(self, size: int, eps: float = 1e-5, dtype: Any = "float32") -> None:
        shape = (integer("layer_norm", "size", size, 1, error=ShapeError),)
        self.weight = init.constant_(empty(shape, dtype), 1.0)
        self.bias = empty(shape, dtype)
        self.eps = number("layer_norm", "eps", eps, 0)

    def forward(self, x: Any) -> Any:
        """Shapes: x (..., size) -> (..., size)."""
        if not shape_of("layer_norm", x) or x.shape[-1] != self.weight.shape[0]:
            raise ShapeError(
                f"[layer_norm] expected a last axis of {self.weight.shape[0]}, got shape "
                f"{x.shape}; make the layer of the input's size"
            )
        return ops.layer_norm(x, self.weight, self.bias, self.eps)

    def __repr__(self) -> str:
        return f"LayerNorm({self.weight.shape[0]}, eps={self.eps})"


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
