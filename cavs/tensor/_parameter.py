"""What training changes, in both worlds: a tensor outside, a symbol in a vertex function."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from cavs._arguments import boolean
from cavs._arrays import INT32, Array, as_array
from cavs.core import ir
from cavs.core.ops import reduce as reduce_ops
from cavs.core.ops._def import OpDef
from cavs.core.owners import name_of
from cavs.core.trace import tracing
from cavs.errors import DTypeError, InputError
from cavs.tensor._evaluate import evaluate
from cavs.tensor._row_sparse import RowSparse
from cavs.tensor._tensor import Tensor
from cavs.tensor._watch import give_out, rebind

# Versions of all parameters: none comes twice, whichever threads count.
_versions = itertools.count()

# How many elements new parameters may still have, in what runs within `bounded_parameters`.
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def bounded_parameters(elements: int) -> Iterator[None]:
    """Inside, all new parameters together have at most so many elements: sizes that a file claims
    must not take memory that its arrays would not.

    Raises:
        InputError: from the constructor of the first parameter that is too large, before its values
            are drawn.
    """
    token = _left.set([elements])
    try:
        yield
    finally:
        _left.reset(token)


def check_room(shape: tuple[int, ...]) -> None:
    """Whether there is room for a parameter of this shape, before its values are made; raises as
    `bounded_parameters`."""
    left = _left.get()
    if left is not None and math.prod(shape) > left[0]:
        raise InputError(
            "[parameter] expected parameters no larger than what is there for them, got one of "
            f"shape {shape}; choose smaller sizes"
        )


def _take_room(shape: tuple[int, ...]) -> None:
    check_room(shape)
    left = _left.get()
    if left is not None:
        left[0] -= math.prod(shape)


class Parameter(Tensor):
    """A tensor that training changes; in a vertex function it stands for itself as a symbol.

    Attributes:
        data: the values, C-contiguous; optimizers change them in place. To write to them between a
            call of a model and its backward is an error, which backward raises; what was taken from
            ``data`` before the call is not watched.
        grad: None, an array of the same shape, or a :class:`RowSparse` where only rows were read.
    """

    __slots__ = ("_spare", "_version")
    __cavs_parameter__ = True
    __cavs_priority__ = 2

    grad: Array | RowSparse | None
    _spare: dict[
        str, Array
    ]  # memory of a gradient that is over; of a dictionary one thread gets it
    _version: int

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        """Shares the memory of `data` where it is C-contiguous, writable and of `dtype`.

        Raises:
            DTypeError: not float32 or float64.
        """
        boolean("parameter", "requires_grad", requires_grad)
        self._set(_as_values(data, dtype), requires_grad)

    def _set(self, data: Array, requires_grad: bool) -> None:
        super()._set(data, requires_grad)
        self._version = next(_versions)
        self._spare = {}
        _take_room(self.shape)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        if self._values.base is not None:  # the bytes of a pickle, which `read` takes for another's
            self._values = self._values.copy()

    @property
    def data(self) -> Array:
        """The values; whoever asks for them may change them in place."""
        values = self._values  # held before the version changes, which `read` relies on
        self._version = next(_versions)
        give_out(values)
        return values

    @data.setter
    def data(self, values: Any) -> None:
        # Numbers and lists, NumPy's scalars among them, have no dtype that anyone chose.
        own = _as_values(values, None if isinstance(values, (np.ndarray, Tensor)) else self.dtype)
        self._version = next(_versions)
        rebind()
        self._values = own

    def _share(self) -> Array:
        values = self._values
        self._version = next(_versions)
        return values

    @property
    def version(self) -> int:
        """Another number whenever somebody has asked for the values to write to them."""
        return self._version

    def read(self) -> tuple[Array, int]:
        """The values, to be read only, and a number that is another one whenever they are.

        The number is -1 where somebody else holds the array, or one that shares its memory, and
        may change it unseen.
        """
        version = self._version  # first: who holds the array from now on has yet to change it
        values = self._values
        own = values.base is None and sys.getrefcount(values) <= _HOLDERS_OF_OWN_VALUES
        return values, version if own else -1

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        if tracing():
            return ir.make(op, operands, attrs)
        return evaluate(Tensor, op, operands, attrs)

    def __getitem__(self, key: Any) -> Any:
        return ir.param(self)[key] if tracing() else super().__getitem__(key)

    def _total(self, keepdims: bool) -> Any:
        return reduce_ops.sum(self, None, keepdims) if tracing() else super()._total(keepdims)

    def _accumulate(self, grad: Array | RowSparse, adopt: bool) -> None:
        # Stays row-sparse for as long as only row-sparse ones come.
        held = self.grad
        if held is not None and not self._takes(held):
            raise InputError(
                f"[backward] expected a writable gradient {self.dtype} {self.shape} of "
                f"{name_of(self)} to add to, got {_described(held)}; call zero_grad, or assign an "
                "array like the parameter"
            )
        if held is None:
            if not adopt:
                grad = grad.copy() if isinstance(grad, RowSparse) else self._copy(grad)
            self.grad = grad
        elif isinstance(grad, RowSparse):
            if isinstance(held, RowSparse):
                total = held.add(grad)
                self.grad = total.copy() if total is grad and not adopt else total
            else:
                grad.add_to(held)
        elif isinstance(held, RowSparse):
            dense = grad if adopt else self._copy(grad)
            held.add_to(dense)
            self.grad = dense
        else:
            held += grad
            if adopt:
                self._spare["grad"] = grad

    def _takes(self, held: Any) -> bool:
        """Whether a gradient, which anyone may assign, is one that can be added to."""
        if isinstance(held, RowSparse):
            return held.shape == self.shape  # optimizers see to its dtype
        return (
            isinstance(held, np.ndarray)
            and held.shape == self.shape
            and held.dtype == self.dtype
            and held.flags.writeable
        )

    def _copy(self, grad: Array) -> Array:
        buffer = self.take_grad_buffer()
        np.copyto(buffer, grad)
        return buffer

    def zero_grad(self) -> None:
        """Forgets the gradient, and keeps its memory for the next where nobody else holds it."""
        grad, self.grad = self.grad, None  # from here on nobody else can come to hold it
        if isinstance(grad, np.ndarray) and sys.getrefcount(grad) <= _ONE_HOLDER:
            self._spare["grad"] = grad

    def take_grad_buffer(self) -> Array:
        """An array of this shape and dtype, C-contiguous, of any content, for the caller to keep.

        It is the memory of a gradient that is over where there is one, so that a training loop does
        not allocate.
        """
        buffer = self._spare.pop("grad", None)
        values = self._values
        if buffer is None or buffer.shape != values.shape or buffer.dtype != values.dtype:
            return np.empty(values.shape, values.dtype)
        return buffer


def _described(grad: Any) -> str:
    if not isinstance(grad, (np.ndarray, RowSparse)):
        return type(grad).__name__
    written = isinstance(grad, RowSparse) or grad.flags.writeable
    return f"{grad.dtype} {grad.shape}{'' if written else ', read-only'}"


def _as_values(data: Any, dtype: Any) -> Array:
    """`data` as the values of a parameter, in its own memory where that will do."""
    array = as_array(data._share() if isinstance(data, Tensor) else data, "parameter", dtype)
    if array.dtype == INT32:
        raise DTypeError(
            "[parameter] expected float32 or float64, got int32; convert it with astype"
        )
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        array = np.array(array, order="C")
    return array


def _references_of_one_holder() -> int:
    grad = np.zeros(1, np.float32)
    return sys.getrefcount(grad)


def _holders_of_own_values() -> int:
    probe = Parameter(np.zeros(1, np.float32))
    values = probe._values
    return sys.getrefcount(values)


# What getrefcount itself adds differs between versions of Python.
_ONE_HOLDER = _references_of_one_holder()
_HOLDERS_OF_OWN_VALUES = _holders_of_own_values()
