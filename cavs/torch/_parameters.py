"""Parameters that PyTorch and cavs share: one memory, and the version that PyTorch counts.

PyTorch counts the writes to a tensor in ``_version``, with two exceptions, and cavs must not miss
those, since it keeps what it made of a weight: writes through ``.data``, which a
:class:`SharedParameter` counts, and those of fused optimizers, which a hook counts.
"""

from __future__ import annotations

import sys
from typing import Any
from weakref import ref

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from cavs.errors import CavsRuntimeError, DTypeError, InputError, ShapeError
from cavs.tensor import Parameter
from cavs.tensor._watch import give_out
from cavs.torch import _device

_NEW_PARAMETER = torch.nn.Parameter.__new__.__code__
_DTYPES = (torch.float32, torch.float64)
_BASE: Any = torch.Tensor
# Whether a tensor learns, as PyTorch itself has it.
learns: Any = _BASE.requires_grad.__get__


class _Tensors:
    """The tensor that has the memory of each parameter, as long as there is the parameter.

    Tensors know parameters by weak references alone. By identity, since parameters are compared
    element by element.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[ref[Parameter], torch.Tensor]] = {}

    def get(self, parameter: Parameter) -> torch.Tensor | None:
        """The tensor of a parameter, if there is one."""
        own, tensor = self._held.get(id(parameter), (None, None))
        return tensor if own is not None and own() is parameter else None

    def set(self, parameter: Parameter, tensor: torch.Tensor) -> None:
        """Notes the tensor of a parameter."""
        number, held = id(parameter), self._held

        def forget(dead: ref[Parameter]) -> None:
            # Another parameter may have the number by now.
            if number in held and held[number][0] is dead:
                del held[number]

        held[number] = ref(parameter, forget), tensor


_tensors = _Tensors()


class _Writes:
    """Counts the writes to the memory of a parameter, which it keeps alive.

    Attributes:
        own: a tensor of that memory that shares its parameter's version.
        pointer: its address.
    """

    __slots__ = ("_known", "_lent", "own", "pointer")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.own = torch.Tensor.detach(tensor)
        self.pointer: int = self.own.data_ptr()
        # Tensors of inference mode count no writes, nobody those of another process. All memory of
        # a GPU could be shared: PyTorch says that it is.
        self._known = not (self.own.is_inference() or (tensor.is_cpu and self.own.is_shared()))
        self._lent = torch.Tensor.data.__get__(self.own)

    def lend(self) -> torch.Tensor:
        """What ``.data`` gives: its writes, and those to its views, count apart from the
        parameter's own."""
        return self._lent.detach()

    def version(self) -> int:
        """See :meth:`cavs.Parameter.follow`."""
        return self.own._version + self._lent._version if self._known else -1


class SharedParameter(torch.nn.Parameter):
    """A ``torch.nn.Parameter`` whose memory parameters of cavs share."""

    @property
    def data(self) -> torch.Tensor:
        """As of any tensor; writes to it count. A backward that reads the values again raises where
        they are others by then, unless the tensor was given before the forward."""
        writes = _writes_of(self)
        if writes is None:
            return torch.Tensor.data.__get__(self)
        give_out(*(parameter._values for parameter in _holders_of(self)))
        return writes.lend()

    @data.setter
    def data(self, values: torch.Tensor) -> None:
        holders = _holders_of(self)
        for parameter in holders:
            check_values(values, tuple(parameter.shape))
        torch.Tensor.data.__set__(self, values)
        for parameter in holders:
            bind(parameter, self)

    @property
    def requires_grad(self) -> bool:
        """As of any tensor; cavs is told at once when it changes."""
        found: bool = learns(self)
        return found

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        _BASE.requires_grad.__set__(self, requires_grad)
        _tell(self)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """As of any tensor."""
        super().requires_grad_(requires_grad)
        _tell(self)
        return self

    def __repr__(self) -> str:
        return repr(torch.nn.Parameter(torch.Tensor.detach(self), self.requires_grad))

    def detach(self) -> torch.Tensor:
        """As of any tensor."""
        found = torch.Tensor.detach(self)
        if sys._getframe(1).f_code is _NEW_PARAMETER:  # which wants the class that it was given
            return torch.Tensor._make_subclass(SharedParameter, found)
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = torch.nn.Parameter(torch.Tensor.detach(self), self.requires_grad)
        return plain.__reduce_ex__(protocol)


def _writes_of(tensor: torch.Tensor) -> _Writes | None:
    """The counter of a tensor, if it counts the memory that the tensor has now."""
    writes: _Writes | None = vars(tensor).get("_cavs_writes")
    return writes if writes is not None and writes.pointer == tensor.data_ptr() else None


def _holders_of(tensor: torch.Tensor) -> list[Parameter]:
    """The parameters of cavs that share the tensor's memory."""
    found = [holder() for holder in vars(tensor).get("_cavs_holders", ())]
    return [parameter for parameter in found if parameter is not None]


def _tell(tensor: torch.Tensor) -> None:
    """Tells cavs whether the tensor learns."""
    tensor.__dict__["_cavs_learns"] = found = learns(tensor)
    for parameter in _holders_of(tensor):
        parameter.requires_grad = found


def agree(parameter: Parameter, tensor: torch.Tensor) -> None:
    """Lets both learn, or neither: as cavs has it where that changed there since they agreed last,
    else as PyTorch has it."""
    last = vars(tensor).get("_cavs_learns")
    if last is not None and parameter.requires_grad is not last:
        torch.Tensor.requires_grad_(tensor, parameter.requires_grad)
    _tell(tensor)


def stand_in(parameter: Parameter, tensor: torch.Tensor, requires_grad: bool) -> None:
    """Notes whether what stands in the place of the tensor, in one call, learns."""
    parameter.requires_grad = tensor.__dict__["_cavs_learns"] = requires_grad


def check_values(
    values: Any, shape: tuple[int, ...], name: str | None = None, kind: str = "parameter"
) -> None:
    """Checks that cavs can read a tensor's memory as the values of a parameter, or of a buffer.

    Args:
        values: the tensor.
        shape: the parameter's.
        name: the parameter's, for errors.
        kind: what it is, for errors.

    Raises:
        InputError, DTypeError, ShapeError: it cannot; DeviceError: it is on a GPU that cavs cannot
            use.
    """
    what = f"a {kind} of cavs" if name is None else f"{kind} {name!r}"
    if not isinstance(values, torch.Tensor):
        raise InputError(
            f"[torch] expected a tensor for {what}, got {type(values).__name__}; assign "
            + ("a torch.nn.Parameter" if kind == "parameter" else "a tensor")
        )
    if values.device.type not in ("cpu", "cuda"):
        raise InputError(
            f"[torch] expected {what} on the CPU or on a GPU of CUDA, got it on {values.device}; "
            "keep the layer there, and move its inputs and outputs"
        )
    _device.place_of(values)
    if values.dtype not in _DTYPES:
        raise DTypeError(
            f"[torch] expected {what} of torch.float32 or torch.float64, got {values.dtype}; keep "
            "the layer in one of these, also within a model of lower precision"
        )
    if tuple(values.shape) != shape:
        raise ShapeError(
            f"[torch] expected shape {shape} for {what}, got {tuple(values.shape)}; the shapes are "
            "those of the vertex function"
        )
    if values.layout != torch.strided or not values.is_contiguous() or values.is_neg():
        raise InputError(
            f"[torch] expected contiguous memory for {what}, got {_layout(values)}; assign "
            "x.contiguous()"
        )


def _layout(values: torch.Tensor) -> str:
    if values.layout != torch.strided:
        return str(values.layout)
    return f"strides {values.stride()}"


def bind(parameter: Parameter, tensor: torch.Tensor, name: str | None = None) -> None:
    """Lets cavs read, and write to, the memory of a torch parameter from now on.

    Raises:
        InputError, DTypeError, ShapeError: see :func:`check_values`; nothing has changed then.
    """
    check_values(tensor, tuple(parameter.shape), name)
    if type(tensor) is torch.nn.Parameter:
        tensor.__class__ = SharedParameter
    writes = _writes_of(tensor) or _Writes(tensor)
    tensor.__dict__["_cavs_writes"] = writes
    holders = {id(p): ref(p) for p in _holders_of(tensor)}
    tensor.__dict__["_cavs_holders"] = (*{**holders, id(parameter): ref(parameter)}.values(),)
    before = _tensors.get(parameter)
    if before is not None and before is not tensor:
        left = tuple(ref(p) for p in _holders_of(before) if p is not parameter)
        before.__dict__["_cavs_holders"] = left
    parameter.take(_device.place_of(tensor).array_of(writes.own))
    # Of another class, whose ``data`` is PyTorch's own, nobody knows who writes.
    parameter.follow(writes.version if isinstance(tensor, SharedParameter) else unknown_version)
    _tensors.set(parameter, tensor)
    agree(parameter, tensor)


def unknown_version() -> int:
    """That of memory of which nobody knows who writes to it; see :meth:`cavs.Parameter.follow`."""
    return -1


def share(parameter: Parameter) -> torch.Tensor:
    """The torch parameter of a parameter of cavs; functions and layers that share the one share
    the other.

    Values that nobody else can write to stay where they are, others are copied once.
    """
    tensor = _tensors.get(parameter)
    if tensor is None:
        tensor = SharedParameter(_values_of(parameter), requires_grad=parameter.requires_grad)
        bind(parameter, tensor)
    elif isinstance(tensor, SharedParameter) and _is_elsewhere(parameter, tensor):
        # A layer of another device or dtype shares it since: all go with it.
        tensor.data = _values_of(parameter)
    return tensor


def _values_of(parameter: Parameter) -> torch.Tensor:
    """A tensor of the values, in their memory unless somebody else can write to it."""
    values, version = parameter.read()
    place = _device.place_of_array(values)
    return place.tensor_of(values if version >= 0 else place.device.copy(values))


def _is_elsewhere(parameter: Parameter, tensor: torch.Tensor) -> bool:
    """Whether cavs has the values in other memory than the tensor, as after another compile."""
    if _writes_of(tensor) is None or not tensor.numel():
        return False
    address: int = tensor.data_ptr()
    return _device.address_of(parameter._values) != address


def is_bound(parameter: Parameter, tensor: torch.Tensor | None) -> bool:
    """Whether the two were brought together last, wherever their memory is now."""
    return tensor is not None and _tensors.get(parameter) is tensor


def rebind(parameter: Parameter, tensor: torch.Tensor, name: str) -> None:
    """Brings two together again whose memory may no longer be the same.

    Raises:
        CavsRuntimeError: cavs was given another array as data.
    """
    if _writes_of(tensor) is None:  # as after ``set_`` and ``share_memory_``
        for holder in {id(p): p for p in (*_holders_of(tensor), parameter)}.values():
            bind(holder, tensor, name if holder is parameter else None)
    elif _is_elsewhere(parameter, tensor):
        raise CavsRuntimeError(
            f"[torch] expected parameter {name!r} in the memory that it shares with PyTorch, got "
            "another array set as its data, or converted by another compile; write to it in place, "
            "or set data of the torch parameter"
        )


def _count_fused(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Counts the writes of a fused optimizer, which PyTorch leaves out."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            for tensor in group["params"]:
                if type(tensor) is SharedParameter and not tensor.is_inference():
                    torch.autograd.graph.increment_version(tensor)


register_optimizer_step_post_hook(_count_fused)
