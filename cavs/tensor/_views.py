"""Shapes, rows and elements of tensors, as methods: most share memory with the tensor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from cavs._arguments import printed
from cavs._arrays import Array
from cavs.core.ops import shape as shape_ops
from cavs.core.ops._def import apply
from cavs.core.ops.reduce import axis_numbers
from cavs.device import Device, device_of, host, is_array, is_on_host
from cavs.errors import CavsError, DTypeError, ShapeError
from cavs.tensor._reductions import Reductions
from cavs.tensor._tape import sole_cotangent

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor


class Views(Reductions):
    """An array with its shapes, rows and elements as methods."""

    __slots__ = ()

    _values: Array

    @abstractmethod
    def _share(self) -> Array:
        """The values, which somebody else gets too."""

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements in another shape; memory is shared where the layout allows.

        Args:
            shape: its axes, as numbers or in one sequence; one may be -1, for what is left.

        Raises:
            ShapeError: another number of elements, or several of -1.
        """
        to: Any = shape[0] if len(shape) == 1 else shape
        return shape_ops.reshape(self, to)

    def permute(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order: ``x.permute(1, 0, 2)``; memory is shared.

        Args:
            axes: each axis once, as numbers or in one sequence, counted from the end where
                negative.

        Raises:
            ShapeError: an axis is missing, comes twice or is not there.
        """
        given: Any = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        ndim = self.ndim
        order = axis_numbers("permute", given, ndim)
        if sorted(order) != list(range(ndim)):
            raise ShapeError(
                f"[permute] expected each of {ndim} axes once, got {tuple(order)}; name them all"
            )
        back = tuple(map(order.index, range(ndim)))
        data = self._share().transpose(order)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            dy = sole_cotangent(dys)
            return [dy.transpose(back) if place is None else dy.permute(back)]

        return self._recorded([data], backward, "permute")[0]

    @property
    def T(self) -> Tensor:  # noqa: N802
        """The axes in reverse order, as NumPy's ``T``: a matrix transposed; memory is shared."""
        return self.permute(*reversed(range(self.ndim)))

    def __iter__(self) -> Iterator[Tensor]:
        """The rows, ``x[0]``, ``x[1]`` and so on, which share memory with this tensor.

        They have one place on the tape: call backward once on what is computed from all of them.
        Raises ShapeError of a tensor without axes.
        """
        if not self.shape:
            raise ShapeError(
                "[iter] expected at least one axis, got a tensor of one number; use item()"
            )
        return iter(self._rows())

    def _rows(self) -> list[Tensor]:
        values, device = self._share(), device_of(self._values)
        shape, dtype = self.shape, self.dtype

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            if place is not None:
                each, zeros = (1, *shape[1:]), device.zeros((1, *shape[1:]), dtype)
                parts = [zeros if dy is None else shape_ops.reshape(dy, each) for dy in dys]
                return [apply(shape_ops.CONCAT, *parts, axis=0)]
            dx = device.zeros(shape, dtype)
            for i, dy in enumerate(dys):
                if dy is not None:
                    dx[i] = dy
            return [dx]

        rows = [device.asarray(values[i]) for i in range(shape[0])]
        return self._recorded(rows, backward, "rows")

    def __getitem__(self, key: Any) -> Tensor:
        """Elements as NumPy indexes them: rows by number, slice, integer array or mask.

        A float tensor of 0.0 and 1.0, as comparisons give, is a mask: ``x[x > 0]``. Raises
        ShapeError for an index that does not fit, DTypeError for other floats.
        """
        shape, dtype, device = self.shape, self.dtype, device_of(self._values)
        index = _index_key(key)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            dy = sole_cotangent(dys)
            if place is not None:
                return [dy._added_at(index, shape)]
            dx = device.zeros(shape, dtype)
            device.add_at(dx, index, dy)
            return [dx]

        try:
            if device is not host:
                index = _index_on(device, index, shape)
            data = device.asarray(self._share()[index])
        except (CavsError, MemoryError):
            raise
        except Exception as error:  # of any object that stands for an index
            raise ShapeError(
                f"[index] expected an index into shape {shape}, got {printed(error, str)}; "
                "correct the index"
            ) from None
        return self._recorded([data], backward, "index")[0]

    def _added_at(self, index: Any, shape: tuple[int, ...]) -> Tensor:
        """Zeros of this shape to which the elements are added where `index` finds them."""
        device = device_of(self._values)
        sums = device.zeros(shape, self.dtype)
        device.add_at(sums, index, self._values)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            dx = sole_cotangent(dys)[index]
            return [device.asarray(dx) if place is None else dx]

        return self._recorded([sums], backward, "index")[0]


def _index_key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_index_key(k) for k in key)
    if isinstance(key, Views):
        key = key._values
        if key.dtype.kind == "f":  # a mask, as comparisons give
            if not ((key == 0) | (key == 1)).all():
                raise DTypeError(
                    f"[index] expected numbers of rows, int32, or a mask of 0.0 and 1.0, got other "
                    f"numbers in {key.dtype}; convert row numbers with astype"
                )
            key = key == 1
    elif not is_array(key) and getattr(key, "ndim", None) and hasattr(key, "__array__"):
        # NumPy takes PyTorch's tensor of one number for the number.
        with suppress(Exception):  # what is wrong with it, indexing says
            key = np.asarray(key)
    # Backward reads it again, when the caller may have changed it.
    return deepcopy(key) if is_array(key) or isinstance(key, list) else key


def _index_on(device: Device, index: Any, shape: tuple[int, ...]) -> Any:
    """An index with its arrays on a GPU. Raises what NumPy raises where it does not fit: on a GPU
    nothing looks whether numbers are within an axis."""
    there = _with_arrays(lambda x: x if is_on_host(x) else device_of(x).to_host(x), index)
    np.broadcast_to(np.False_, shape)[there]
    return _with_arrays(device.asarray, there)


def _with_arrays(change: Callable[[Any], Any], index: Any) -> Any:
    """An index with other arrays in place of its arrays and lists."""
    if isinstance(index, tuple):
        return tuple(_with_arrays(change, part) for part in index)
    if isinstance(index, list):
        index = np.asarray(index) if index else np.zeros(0, np.int64)
    return change(index) if is_array(index) else index
