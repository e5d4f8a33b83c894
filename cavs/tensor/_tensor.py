"""Eager arrays with a small tape, over the same table of operations as vertex functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from cavs._arguments import boolean
from cavs._arrays import FLOAT32, INT32, Array, check_dtype
from cavs._locks import new_lock
from cavs.core.ops._def import OpDef, Shape
from cavs.core.ops._spaces import SpaceKind
from cavs.device import device_of, find_device, host, is_array
from cavs.device.taking import as_array, moved
from cavs.errors import CavsRuntimeError, DTypeError, ShapeError
from cavs.tensor._differentiable import gradients_of_leaves
from cavs.tensor._evaluate import evaluate
from cavs.tensor._gradients import check_held, check_place, cotangent_of, on
from cavs.tensor._row_sparse import RowSparse
from cavs.tensor._tape import Backward, Find, Record, is_grad_enabled, run_backward, sole_cotangent
from cavs.tensor._views import Views
from cavs.tensor._watch import Watch, give_out, rebind, watched, written_since

_Self = TypeVar("_Self", bound="Tensor")
_requires_grad = attrgetter("requires_grad")
# Held while a gradient is added to, whichever it is.
grad_lock = new_lock()


class Tensor(Views):
    """An array that knows how it was computed.

    Operations broadcast as NumPy does and are those of ``cavs.ops``. Operands of one operation have
    one dtype, float32 or float64; Python numbers take the dtype of the other operand. int32 tensors
    are ids and labels.

    Attributes:
        data: the values, which may be written to: a NumPy array, or one of CuPy on a GPU. They may
            not be written to between an operation that needs them for its gradient and its
            backward, which then fails. An array that was taken from ``data`` before the operation
            is not watched.
        grad: the sum that backward has added up so far, an array of the same shape; None before.
            Only leaves have it, that is, tensors that no operation computed.
        requires_grad: whether backward gives a gradient to it, or to tensors that it depends on.
    """

    __slots__ = ("__weakref__", "_grad", "_index", "_record", "_values", "requires_grad")
    __cavs_priority__ = 1
    space = SpaceKind.NONE
    _stale_by: str | None = None

    requires_grad: bool
    _values: Array  # `data`, to be read only
    _grad: Any
    _record: Record | None
    _index: int

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        """Shares the memory of `data` where its dtype and layout allow.

        Args:
            data: anything with ``__dlpack__``, ``__cuda_array_interface__``, the buffer protocol
                or ``__array__``, a number or nested lists of numbers. The tensor is on the device
                that its data are on.
            dtype: float32, float64 or int32; None keeps the dtype of `data`. Python's own numbers
                and lists become float32 or int32.
            requires_grad: whether this is a leaf that backward gives a gradient.

        Raises:
            DTypeError: not numbers, or integers with `requires_grad`; InputError: not readable.
        """
        array = data._share() if isinstance(data, Tensor) else data
        boolean("tensor", "requires_grad", requires_grad)
        self._set(as_array(array, "tensor", dtype), requires_grad)

    def _set(self, data: Array, requires_grad: bool) -> None:
        _check_learns(data.dtype, requires_grad)
        self._values = data
        self._grad = None
        self.requires_grad = requires_grad
        self._record = None
        self._index = 0

    @staticmethod
    def _wrap(data: Array) -> Tensor:
        """A tensor around an array that is known to be of a supported dtype."""
        x = Tensor.__new__(Tensor)
        x._values = data
        x._grad = None
        x.requires_grad = False
        x._record = None
        x._index = 0
        return x

    @staticmethod
    def _wrap_stale(data: Array, name: str) -> Stale:
        """The same for stale values: operands or result of the operation `name` were written."""
        x = Stale.__new__(Stale)
        x._array, x._stale_by = data, name
        x._grad = x._record = None
        x.requires_grad = False
        x._index = 0
        return x

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
        return evaluate(Tensor, op, operands, attrs)

    @staticmethod
    def __cavs_count__(size: int, like: Any) -> Tensor:
        """The numbers 1..size, of the dtype of `like` if that is a float one, else float32."""
        dtype = like.dtype if isinstance(like, Tensor) and like.dtype != INT32 else FLOAT32
        return Tensor(list(range(1, size + 1)), dtype)

    def __getstate__(self) -> dict[str, Any]:
        """The state that ``copy.deepcopy`` and ``pickle`` copy; a copy has memory of its own.

        Raises CavsRuntimeError for a tensor that an operation computed: copy its ``detach()``.
        """
        if self._record is not None:
            raise CavsRuntimeError(
                "[tensor] expected a tensor that no operation computed, to be copied or pickled, "
                f"got a result of {self._record.name!r} with its graph; copy x.detach()"
            )
        return {
            "values": _to_host(self._share()),
            "grad": _to_host(self._grad),
            "device": self.device,
            "requires_grad": self.requires_grad,
            "attributes": getattr(self, "__dict__", {}),  # of a subclass
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        device = find_device(state.get("device", host.name), "tensor")
        self._set(moved(state["values"], device), state["requires_grad"])
        self._grad = on(state["grad"], device)
        for name, value in state["attributes"].items():
            setattr(self, name, value)

    def __copy__(self) -> Any:
        """Another tensor of the same values and gradient, whose memory it shares."""
        x = type(self).__new__(type(self))
        x._set(self._share(), self.requires_grad)
        x._grad, x._record, x._index = self._grad, self._record, self._index
        for name, value in getattr(self, "__dict__", {}).items():
            setattr(x, name, value)
        return x

    @property
    def data(self) -> Array:
        """The values; whoever asks for them may change them in place."""
        give_out(self._values)
        return self._values

    @data.setter
    def data(self, values: Any) -> None:
        own = as_array(values._share() if isinstance(values, Tensor) else values, "tensor")
        rebind()
        self._values = own

    def _share(self) -> Array:
        """The values for another tensor, which shares their memory."""
        return self._values

    def _any_values(self) -> Array:
        """The values for an operation, whose result is stale if they are."""
        return self._values

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation computed it."""
        return self._record is None

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Sets ``requires_grad`` of a leaf, and gives the tensor.

        Raises:
            DTypeError: of an int32 tensor; CavsRuntimeError: an operation computed the tensor.
        """
        boolean("tensor", "requires_grad", requires_grad)
        if self._record is not None and not requires_grad:
            raise CavsRuntimeError(
                "[tensor] expected a tensor that no operation computed, to stop its gradient, got "
                f"a result of {self._record.name!r}; use x.detach()"
            )
        _check_learns(self.dtype, requires_grad)
        self.requires_grad = requires_grad
        return self

    def to(self, device: Any) -> Tensor:
        """The values on a device; the tensor itself if it is there. Gradients flow back.

        Args:
            device: ``cpu``, ``cuda`` (the first GPU) or ``cuda:1``.

        Raises:
            InputError: no device has such a name; DeviceError: the GPU cannot be used.
        """
        own, target = device_of(self._values), find_device(device, "to")
        if own is target:
            return self
        values = moved(self._values, target)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            dy = sole_cotangent(dys)
            return [moved(dy, own) if place is None else dy.to(own.name)]

        return self._recorded([values], backward, "to")[0]

    def detach(self) -> Tensor:
        """The same values, off the tape; memory is shared."""
        return Tensor._wrap(self._share())

    def backward(
        self, grad: Any = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Adds the gradients of this tensor to ``grad`` of all leaves that it depends on.

        The graph behind it is freed. With `retain_graph` it is kept, so that backward may be called
        again, from this or from another tensor: each call adds the same bits as one of outputs
        that were computed anew. The values that it needs stay in memory until a call without
        `retain_graph`, or as long as somebody holds a tensor of the graph; see
        :meth:`cavs.Model.memory`.

        Args:
            grad: cotangent of this tensor, of its shape; None means 1 and needs one element.
            retain_graph: whether the graph is kept.
            create_graph: whether ``grad`` of the leaves becomes a tensor on the tape, which can be
                differentiated; the graph is kept then. A leaf and its gradient hold each other
                until ``zero_grad``; :func:`cavs.grad` gives gradients that nobody holds.

        Raises:
            ShapeError: no `grad` for a tensor of several elements, or one of another shape.
            CavsRuntimeError: nothing requires a gradient, the graph was freed before, or values
            that it reads were written since the forward.
            NonFiniteError: see :class:`detect_nonfinite`.
        """
        boolean("backward", "retain_graph", retain_graph)
        boolean("backward", "create_graph", create_graph)
        if not self.requires_grad:
            raise CavsRuntimeError(
                "[backward] expected a tensor that depends on one with requires_grad, got one "
                "computed under no_grad or from inputs alone; compute it from parameters, with "
                "gradients enabled"
            )
        if grad is None and self.size != 1:
            raise ShapeError(
                f"[backward] expected one element, got shape {self.shape}; reduce it, as in "
                "loss.sum().backward(), or give backward a cotangent"
            )
        if create_graph:
            for leaf, gradient in gradients_of_leaves(self, grad):
                with grad_lock:
                    held = (
                        leaf._grad.to_dense() if isinstance(leaf._grad, RowSparse) else leaf._grad
                    )
                    leaf._grad = gradient if held is None else gradient + held
            return
        run_backward(self, cotangent_of(self, grad), retain_graph)

    def accumulate_grad(self, grad: Array | RowSparse, adopt: bool = False) -> None:
        """Adds to ``grad``; several threads may do so at once.

        Args:
            grad: of this tensor's shape and dtype.
            adopt: whether nobody else holds the array, so that it need not be copied.
        """
        given: Any = grad
        if not (isinstance(given, RowSparse) or is_array(given)):
            given = as_array(given, "grad")
        if given.shape != self.shape or given.dtype.kind not in "iuf":
            raise ShapeError(
                f"[grad] expected a gradient {self.dtype} of shape {self.shape}, got "
                f"{given.dtype} of shape {given.shape}; pass one that fits"
            )
        check_place(self, given)
        with grad_lock, device_of(self._values).here():
            self._accumulate(given, adopt)

    def _accumulate(self, grad: Array | RowSparse, adopt: bool) -> None:
        """The same, for a caller that holds the lock."""
        check_held(self)
        dense = grad.to_dense() if isinstance(grad, RowSparse) else grad
        if self._grad is None:
            self._grad = dense if adopt else device_of(dense).copy(dense)
        else:
            self._grad += dense

    @property
    def grad(self) -> Any:
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        check_place(self, grad)
        self._grad = grad

    def zero_grad(self) -> None:
        """Forgets the gradient."""
        self._grad = None

    def _recorded(self, values: Sequence[Array], backward: Backward, name: str) -> list[Tensor]:
        return record(values, [self], backward, name=name, derives=())

    def astype(self, dtype: Any) -> Tensor:
        """The values as float32, float64 or int32; the gradient flows between the float ones."""
        wanted, own = check_dtype(dtype, "astype"), self.dtype
        if wanted == own:
            return self
        with device_of(self._values).here():
            data = self._values.astype(wanted)
        if wanted == INT32:
            return Tensor._wrap(data)

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            return [sole_cotangent(dys).astype(own)]

        return self._recorded([data], backward, "astype")[0]


class Stale(Tensor):
    """A value of the forward that was written since, or a value that backward computed from it:
    needing it for a gradient is an error."""

    __slots__ = ("_array", "_stale_by")

    _array: Array
    _stale_by: str  # the operation whose operands or result were written

    @property
    def _values(self) -> Array:  # type: ignore[override]
        raise written_since(self._stale_by)

    def _any_values(self) -> Array:
        return self._array

    def _share(self) -> Array:
        return self._array

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float64 or int32."""
        return self._array.dtype


def _to_host(values: Any) -> Any:
    """An array, or a gradient, as it is copied and pickled: on the host."""
    return on(values, host)


def _check_learns(dtype: np.dtype[Any], requires_grad: bool) -> None:
    if requires_grad and dtype == INT32:
        raise DTypeError(
            "[tensor] expected a float dtype with requires_grad, got int32; leave requires_grad off"
        )


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A :class:`Tensor` of `data`, whose memory it shares where dtype and layout allow."""
    return Tensor(data, dtype, requires_grad)


def record(
    outputs: Collection[Array],
    inputs: Collection[Tensor],
    backward: Backward,
    name: str = "function",
    learns: bool = False,
    reads: Sequence[Array] = (),
    find: Find | None = None,
    derives: Sequence[Tensor] | None = None,
    fresh: bool = True,
) -> list[Tensor]:
    """Tensors of values that a function of tensors computed by means of its own, with its gradient.

    All outputs share one place on the tape: each backward calls `backward` at most once, when the
    cotangents of all outputs are complete.

    Args:
        outputs: the values that the function computed, arrays of float32 or float64.
        inputs: the tensors and parameters that it depends on.
        backward: gets a cotangent per output, C-contiguous and of the output's shape and dtype, or
            None for outputs that did not contribute. Gives a cotangent per input: an array, a
            :class:`RowSparse`, or None. It hands its arrays over: the tape may keep them as
            gradients, and write to them; with ``retain_graph``, after which it may be called again,
            the tape copies them.
        name: the name of the function in errors.
        learns: whether `backward` gives gradients to parameters by itself, besides the
            gradients of `inputs`.
        reads: values of inputs and outputs that `backward` reads; it is not called where they were
            written since, but :class:`CavsRuntimeError` is raised.
        find: says in words, for errors, where a value of an output that is not finite comes from,
            given the output's number and values; None if it comes from the function itself.
        derives: for derivatives of the gradient, see :class:`Record`; None: it has none.
        fresh: whether `backward` gives arrays that nobody else holds.

    Returns:
        One tensor per output; without a place on the tape under :func:`no_grad` or when nothing
        requires a gradient.
    """
    results = list(map(Tensor._wrap, outputs))
    if (learns or any(map(_requires_grad, inputs))) and is_grad_enabled():
        if reads:
            backward = watched(backward, name, Watch(reads))
        place = Record(name, tuple(inputs), backward, len(results), fresh, find, derives)
        for index, y in enumerate(results):
            y.requires_grad = True
            y._record = place
            y._index = index
    return results
