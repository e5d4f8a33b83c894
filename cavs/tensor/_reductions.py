"""Reductions of tensors over any axes; the operations of the table reduce the last axis or all."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from cavs._arguments import boolean
from cavs._arrays import INT32
from cavs.core.ops import reduce as reduce_ops
from cavs.core.ops import shape as shape_ops
from cavs.core.ops._def import size_of
from cavs.core.ops.reduce import Axis, axes_of
from cavs.errors import ShapeError
from cavs.tensor._array_like import ArrayLike


class Reductions(ArrayLike):
    """An array with reductions as methods."""

    __slots__ = ()

    @abstractmethod
    def _total(self, keepdims: bool) -> Any:
        """Sum over all axes."""

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """Sum over one axis, several, or all of them."""
        if axis is None and self.dtype != INT32:
            return self._total(boolean("sum", "keepdims", keepdims))
        axes = axes_of("sum", axis, self.ndim)
        if axis is None or axes == (self.ndim - 1,):
            return reduce_ops.sum(self, axis, keepdims)
        boolean("sum", "keepdims", keepdims)
        kept = tuple(1 if i in axes else n for i, n in enumerate(self.shape))
        total = shape_ops.sum_to(self, kept)
        if keepdims:
            return total
        return shape_ops.reshape(total, tuple(n for i, n in enumerate(kept) if i not in axes))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """Mean over one axis, several, or all of them."""
        count = size_of(tuple(self.shape[i] for i in axes_of("mean", axis, self.ndim)))
        if count == 0:
            raise ShapeError(
                "[mean] expected at least one element, got an empty value; leave the mean out"
            )
        return self.sum(axis, keepdims) * (1.0 / count)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """Maximum over the last axis, or over all; equal maxima share the gradient evenly."""
        return reduce_ops.max(self, axis, keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """log(sum(exp(x))) over the last axis, or over all: see :func:`cavs.ops.logsumexp`."""
        return reduce_ops.logsumexp(self, axis, keepdims)
