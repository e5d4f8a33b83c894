"""Parameters, which training changes: tensors outside, symbols in a vertex function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import Any
from weakref import ref

from cavs._arguments import boolean, shown
from cavs._arrays import FLOAT32, INT32, Array, lend
from cavs.core import ir
from cavs.core.making import make
from cavs.core.ops import reduce as reduce_ops
from cavs.core.ops._def import OpDef
from cavs.core.tracing import tracing
from cavs.device import Device, device_of, find_device, host, is_array
from cavs.device.taking import as_array, moved
from cavs.errors import DTypeError, InputError, ShapeError
from cavs.tensor._evaluate import evaluate
from cavs.tensor._gradients import check_held, on
from cavs.tensor._row_sparse import RowSparse
from cavs.tensor._tensor import Tensor
from cavs.tensor._version import Version
from cavs.tensor._watch import give_out, rebind
from cavs.tensor._writing import WritingOne

_values, _version = attrgetter("_values"), attrgetter("_version")
_number, _private = attrgetter("number"), attrgetter("private")
# How many elements new parameters may still have, inside of `bounded_parameters`.
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def bounded_parameters(elements: int) -> Iterator[None]:
    """Inside, all new parameters together have at most so many elements: a file that claims large
    sizes must not take more memory than its arrays would.

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
    """Checks that there is room for a parameter of this shape, before its values are made; raises
    as `bounded_parameters` does."""
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


# Memory of a gradient, the values that it is the gradient of, and a reference to its holder.
_Memory = tuple[Array, Array, Callable[[], Array | None]]
_NO_MEMORY: _Memory = (host.empty((0,), FLOAT32), host.empty((0,), FLOAT32), lambda: None)


class Parameter(Tensor):
    """A tensor that training changes; in a vertex function it is a symbol.

    Attributes:
        data: the values, C-contiguous; optimizers change them in place. Writing to them between a
            call of a model and its backward is an error, which backward raises; an array that was
            taken from ``data`` before the call is not watched. As long as somebody holds an array
            of ``data``, or a view of it, cavs cannot know whether the values have changed, and
            makes anew all results that depend on them: code that knows when it has written uses
            :meth:`writing`.
        grad: None, an array of the same shape, or a :class:`RowSparse` where only rows were read.
    """

    __slots__ = ("_spare", "_version")
    __cavs_parameter__ = True
    __cavs_priority__ = 2

    _spare: dict[str, _Memory]  # of the last gradient; one thread can take it out
    _version: Version

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        """Shares the memory of `data` where it is C-contiguous, writable and of `dtype`.

        Raises:
            DTypeError: not float32 or float64.
        """
        boolean("parameter", "requires_grad", requires_grad)
        self._set(_as_values(data, dtype), requires_grad)

    def _set(self, data: Array, requires_grad: bool) -> None:
        self._version = Version()
        super()._set(data, requires_grad)
        self._hold(data)
        self._spare = {}
        _take_room(self.shape)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        values = state["values"]
        if values.base is not None:  # a view of a pickle's bytes, which would count as another's
            state = {**state, "values": values.copy()}
        super().__setstate__(state)
        if device_of(self._values) is not host:
            self._version.start(None, private=True)

    @property
    def data(self) -> Array:
        """The values; whoever asks for them may change them in place."""
        values = self._values
        give_out(values)
        return self._version.lend(values)

    @data.setter
    def data(self, values: Any) -> None:
        # Numbers and lists, NumPy's scalars among them, have no dtype that anyone chose.
        typed = isinstance(values, Tensor) or is_array(values)
        own = moved(_as_values(values, None if typed else self.dtype), device_of(self._values))
        if own.shape != self.shape:
            raise ShapeError(
                f"[parameter] expected values of shape {self.shape}, got {own.shape}; transpose or "
                "reshape them, or make another parameter"
            )
        if self._version.is_lent(own) and own.dtype == self.dtype:
            return  # as in `parameter.data += 1`: it is the same array, with its new values
        rebind()
        self._hold(own)

    def move(self, device: Device, dtype: Any = None) -> None:
        """Puts the values, and the gradient, on a device, in place, in another dtype if given."""
        own, values = device_of(self._values), self._values
        if own is device and dtype in (None, values.dtype):
            return
        rebind()
        grad: Any = self._grad
        if dtype is not None and dtype != values.dtype:
            with own.here():
                values = values.astype(dtype)
            grad = None
        self._values = moved(values, device)
        self._version.start(None, private=True)
        self._grad = on(grad, device)

    def take(self, values: Array) -> None:
        """Has the memory of an array of another library for the values, on the device where it is:
        C-contiguous, of this shape, float32 or float64. A gradient goes to that device."""
        rebind()
        self._grad = on(self._grad, device_of(values))
        self._hold(values)

    def go_to(self, device: Any) -> None:
        """Moves it to the device of this name; see :meth:`Module.to`."""
        self.move(find_device(device, "to"))

    def copy_in(self, values: Array) -> None:
        """Writes values of the host, of this shape and dtype, as one change."""
        with self.writing() as array:
            array[...] = moved(values, device_of(array))

    def _hold(self, array: Array) -> None:
        """Takes the memory of `array`, which others may hold, for the values."""
        own = device_of(array) is host and array.base is None
        # In this order: `read` takes the number first.
        self._values = values = array.view() if own else array
        self._version.start(values if own else None)

    def _share(self) -> Array:
        return self._version.lend(self._values)

    def writing(self) -> AbstractContextManager[Array]:
        """``with parameter.writing() as array:`` gives the values to write to, as one change.

        It counts at the end of the block, also where the block raises. The array is not to be kept:
        afterwards cavs takes the values for unchanged. Writing between a call of a model and its
        backward is an error, as with ``data``.
        """
        return WritingOne(self)

    def follow(self, version: Callable[[], int]) -> None:
        """For values in memory of another library that says itself whether they were written.

        ``parameter.follow(lambda: tensor._version)`` suits a parameter made of ``tensor.numpy()``
        of PyTorch: calls then use again the results that they made of the values, such as results
        by id, until that number changes. Without it, memory of others counts as changed all the
        time. It ends when ``data`` is set to another array.

        Args:
            version: gives a number from 0 on that changes whenever somebody wrote to the memory, or
                may have; -1 where that is not known. It is called whenever the values are read, by
                any thread, and must not read them itself.

        Raises:
            InputError: `version` cannot be called.
        """
        if not callable(version):
            raise InputError(
                f"[parameter] expected a function as version, got {shown(version)}; pass one that "
                "gives a number"
            )
        self._version.follow(version)

    @property
    def version(self) -> int:
        """A number that changes whenever the values may have been written: by :meth:`writing`, by
        another array as ``data``, or by a holder of ``data``, when it is given and when all of it
        is let go.
        """
        self.read()
        return self._version.number

    def read(self) -> tuple[Array, int]:
        """The values, to be read only, and a number that changes whenever they change.

        The number is -1 as long as somebody else has the array, or one that shares its memory, and
        may change it unseen.
        """
        version = self._version
        number = version.number  # first: a later holder of the array has yet to change it
        values = self._values
        if version.private:
            return values, number
        number = version.settle()
        return self._values, number

    @staticmethod
    def read_all(parameters: Sequence[Parameter]) -> tuple[list[Array], list[int]]:
        """The values and the numbers that :meth:`read` gives of each. A call over a small batch
        asks for little else, so no Python runs for each parameter whose values nobody else has."""
        states = list(map(_version, parameters))
        numbers = list(map(_number, states))  # first, as in `read`
        values = list(map(_values, parameters))
        if not all(map(_private, states)):
            for position, parameter in enumerate(parameters):
                if not states[position].private:
                    values[position], numbers[position] = parameter.read()
        return values, numbers

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
        if tracing():
            symbol: Any = make(op, operands, attrs)
            return symbol  # type: ignore[no-any-return]
        return evaluate(Tensor, op, operands, attrs)

    # In a vertex function it does what symbols do, and is a symbol in what it gives.

    def __getitem__(self, key: Any) -> Any:
        return ir.param(self)[key] if tracing() else super().__getitem__(key)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(ir.param(self)) if tracing() else super().__iter__()

    def permute(self, *axes: int | Sequence[int]) -> Any:
        """See `Tensor.permute`."""
        return ir.param(self).permute(*axes) if tracing() else super().permute(*axes)

    def _compare(self, op: OpDef, other: Any) -> Any:
        if not tracing():
            return super()._compare(op, other)
        return NotImplemented if other is None else make(op, (self, other), {})

    def _total(self, keepdims: bool) -> Tensor:
        return reduce_ops.sum(self, None, keepdims) if tracing() else super()._total(keepdims)

    def _accumulate(self, grad: Array | RowSparse, adopt: bool) -> None:
        # Stays row-sparse as long as all gradients are.
        check_held(self)
        held = self._grad
        if held is None:
            if not adopt:
                grad = grad.copy() if isinstance(grad, RowSparse) else self._copy(grad)
            self._grad = grad
        elif isinstance(grad, RowSparse):
            if isinstance(held, RowSparse):
                total = held.add(grad)
                self._grad = total.copy() if total is grad and not adopt else total
            else:
                grad.add_to(held)
        elif isinstance(held, RowSparse):
            dense = grad if adopt else self._copy(grad)
            held.add_to(dense)
            self._grad = dense
        else:
            held += grad

    def _copy(self, grad: Array) -> Array:
        buffer = self.take_grad_buffer()
        buffer[...] = grad
        return buffer

    def zero_grad(self) -> None:
        """Forgets the gradient."""
        self._grad = None

    def take_grad_buffer(self) -> Array:
        """An array of this shape and dtype, C-contiguous, of any content, for the caller to keep.

        It reuses the memory of the last gradient if nobody holds that any more, so that a training
        loop does not allocate.
        """
        values = self._values
        memory, like, holder = self._spare.pop("grad", _NO_MEMORY)
        device = device_of(values)
        if like is not values or holder() is not None:
            memory = device.empty(values.shape, values.dtype)
        if device is host:
            buffer = lend(memory)
            self._spare["grad"] = memory, values, ref(buffer)
        else:  # steps that write to the same memory are launched again as one graph
            buffer, held = device.lend(memory)
            self._spare["grad"] = memory, values, held
        return buffer


def _as_values(data: Any, dtype: Any) -> Array:
    """`data` as the values of a parameter, in its own memory if dtype and layout allow."""
    array = as_array(data._share() if isinstance(data, Tensor) else data, "parameter", dtype)
    if array.dtype == INT32:
        raise DTypeError("[parameter] expected float32 or float64, got int32; pass dtype='float32'")
    device, flags = device_of(array), array.flags
    if device is not host:
        return device.contiguous(array)
    if not (flags.c_contiguous and flags.writeable and flags.aligned):
        array = device.copy(array)
    return array
