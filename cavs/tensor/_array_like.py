"""What a tensor has in common with arrays: sizes, and the protocols by which others read it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from cavs._arrays import Array
from cavs._missing import of_tensor
from cavs.core.ops._def import Shape
from cavs.core.ops._operators import Operators
from cavs.device import device_of, host
from cavs.errors import InputError, ShapeError


class ArrayLike(Operators):
    """The base of tensors as far as Python, NumPy and other libraries take them for arrays."""

    __slots__ = ()

    requires_grad: bool
    _values: Array  # `data`, to be read only

    if not TYPE_CHECKING:  # type checkers would take it for attributes of any kind

        def __getattr__(self, name: str) -> Any:
            raise of_tensor(name, np.ndarray)

    @property
    @abstractmethod
    def data(self) -> Array:
        """The values; whoever asks for them may change them in place."""

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float64 or int32."""
        return self._values.dtype

    @property
    def device(self) -> str:
        """The device that the values are on: ``cpu``, ``cuda:0``, ``cuda:1`` and so on."""
        return device_of(self._values).name

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._values.size)

    def __repr__(self) -> str:
        values, own = self._values, device_of(self._values)
        words = np.array2string(
            own.to_host(values), separator=", ", threshold=100, prefix="Tensor("
        )
        where = "" if own is host else f", {own.name}"
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"{type(self).__name__}({words}, {self.dtype}{where}{grad})"

    def __len__(self) -> int:
        """Number of rows. Raises ShapeError of a tensor without axes."""
        if not self.shape:
            raise ShapeError(
                "[len] expected at least one axis, got a tensor of one number; use size, or item()"
            )
        return self.shape[0]

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        # A function of NumPy's takes a tensor for its values, as it does any object with an array.
        return function(*map(_plain, args), **{name: _plain(x) for name, x in kwargs.items()})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        own = device_of(self._values)
        if copy or own is not host:
            if copy is False:
                raise InputError(
                    f"[tensor] expected a tensor on the CPU, to share its memory, got one on "
                    f"{own.name}; allow a copy"
                )
            return np.array(own.to_host(self._values), dtype=dtype)
        if copy is None:
            return self.data if dtype is None else self.data.astype(dtype, copy=False)
        return np.array(self.data, dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """As CuPy's; AttributeError of a tensor on the CPU, which has none."""
        data: Any = self._values
        if device_of(data) is host:
            raise AttributeError  # __getattr__ says it in its words
        found: dict[str, Any] = self.data.__cuda_array_interface__  # type: ignore[attr-defined]
        return found

    def __bool__(self) -> bool:
        """Whether the only element is not zero. Raises ShapeError unless there is one element."""
        if self.size != 1:
            raise ShapeError(
                f"[bool] expected one element to be true or false, got shape {self.shape}; use "
                "any() or all(), or `is` to ask whether it is the same tensor"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def item(self) -> float | int:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ShapeError(
                f"[item] expected one element, got shape {self.shape}; reduce it, or use numpy()"
            )
        value: float | int = self._values.item()
        return value

    def numpy(self) -> Array:
        """The values as a NumPy array, which shares the memory of a tensor on the CPU and is a copy
        of one on a GPU."""
        own = device_of(self._values)
        return self.data if own is host else own.to_host(self._values)


def _plain(x: Any) -> Any:
    if isinstance(x, ArrayLike):
        return x.data
    return type(x)(map(_plain, x)) if type(x) in (list, tuple) else x
