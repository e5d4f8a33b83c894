"""Reductions of tensors over any axes, as methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cavs._arguments import boolean
from cavs._arrays import INT32, Array
from cavs.core.ops import reduce as reduce_ops
from cavs.core.ops._def import OpDef, size_of
from cavs.core.ops.reduce import Axis, axes_of
from cavs.core.ops.shape import broadcast, reshape
from cavs.device import device_of
from cavs.errors import ShapeError
from cavs.tensor._comparisons import Comparisons
from cavs.tensor._tape import Backward, sole_cotangent

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor


class Reductions(Comparisons):
    """An array with reductions as methods."""

    __slots__ = ()

    @staticmethod
    @abstractmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
        """See `cavs.core.ops._def.Applies`."""

    @abstractmethod
    def _recorded(self, values: Sequence[Array], backward: Backward, name: str) -> list[Tensor]:
        """Tensors of values made of this one, with their gradient."""

    def _total(self, keepdims: bool) -> Tensor:
        """Sum over all axes. Each step ends with one, hence a single record in place of the records
        of the operations that it would take."""
        data = self._values
        shape, dtype = data.shape, data.dtype
        device = device_of(data)
        y = device.sum(data)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            dy = sole_cotangent(dys)
            if place is not None:
                return [broadcast(reshape(dy, (1,) * len(shape)), shape)]
            dx = device.empty(shape, dtype)
            dx[...] = dy
            return [dx]

        shaped = y.reshape((1,) * data.ndim) if keepdims else y
        return self._recorded([shaped], backward, "sum")[0]

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over one axis, several (a tuple), or all of them (None); 0 over no elements.

        With `keepdims` the axes stay, of size 1. Raises ShapeError for an axis that is not there.
        """
        if axis is None and self.dtype != INT32:
            return self._total(boolean("sum", "keepdims", keepdims))
        return reduce_ops.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Mean over one axis, several, or all; ShapeError over no elements. See :meth:`sum`."""
        axes = axes_of("mean", axis, self.ndim)
        count = size_of(tuple(self.shape[i] for i in axes))
        if count == 0:
            raise ShapeError(
                "[mean] expected at least one element, got an empty value; leave the mean out"
            )
        y: Tensor = self.sum(axis, keepdims) * (1.0 / count)
        return y

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Maximum over one axis, several, or all; equal maxima share the gradient evenly.

        ShapeError over no elements. See :meth:`sum`.
        """
        return reduce_ops.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Minimum over one axis, several, or all; equal minima share the gradient evenly.

        ShapeError over no elements. See :meth:`sum`.
        """
        return reduce_ops.min(self, axis, keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """log(sum(exp(x))) over one axis, several, or all: see :func:`cavs.ops.logsumexp`."""
        return reduce_ops.logsumexp(self, axis, keepdims)

    def softmax(self, axis: int = -1) -> Tensor:
        """exp(x) / sum(exp(x)) over one axis, by default the last: see :func:`cavs.ops.softmax`."""
        return reduce_ops.softmax(self, axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """log of :meth:`softmax`: see :func:`cavs.ops.log_softmax`."""
        return reduce_ops.log_softmax(self, axis)
