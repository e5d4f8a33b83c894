"""The buffers of a layer, which PyTorch and cavs share: one memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from cavs.tensor import Buffer
from cavs.torch import _device
from cavs.torch._parameters import check_values, unknown_version
from cavs.torch._parts import Holder, part_at


class HeldBuffer:
    """A buffer in its place.

    Attributes:
        name: its path.
        part, key: the module that holds it, and the last part of its path.
        buffer: the buffer of cavs.
        tensor: the tensor of PyTorch, as it was found last.
    """

    __slots__ = ("_pointer", "_values", "buffer", "key", "name", "part", "tensor")

    tensor: torch.Tensor

    def __init__(self, name: str, part: Holder, key: str, buffer: Buffer) -> None:
        """Shares the memory of the tensor that PyTorch has there, if it has one."""
        self.name, self.part, self.key, self.buffer = name, part, key, buffer
        known = part._buffers.get(key)
        if known is None:
            self._go_along()
        else:
            self._bind(known)

    def settle(self) -> None:
        """Follows PyTorch to another tensor, as ``load_state_dict(assign=True)`` and
        ``functional_call`` put it there, and cavs to other memory, as another compile makes it.

        Raises:
            InputError, DTypeError, ShapeError: cavs cannot read the tensor's memory.
        """
        tensor: Any = self.part._buffers.get(self.key)
        if tensor is not self.tensor or tensor.data_ptr() != self._pointer:
            self._bind(tensor)
        elif self.buffer._values is not self._values:
            self._go_along()

    def check(self) -> None:
        """Raises as :meth:`settle` does; nothing has changed then."""
        tensor = self.part._buffers.get(self.key)
        check_values(tensor, tuple(self.buffer.shape), self.name, kind="buffer")

    def put_back(self) -> None:
        """Gives PyTorch the tensor of before."""
        self.part._buffers[self.key] = self.tensor

    def count_write(self) -> None:
        """Tells PyTorch that cavs has written to the memory."""
        if not self.tensor.is_inference():
            torch.autograd.graph.increment_version(self.tensor)

    def _bind(self, tensor: Any) -> None:
        self.check()
        self.buffer.take(_device.place_of(tensor).array_of(tensor.detach()))
        self.buffer.follow(unknown_version)  # writes through ``.data`` are not counted
        self._note(tensor)

    def _go_along(self) -> None:
        values, version = self.buffer.read()
        place = _device.place_of_array(values)
        tensor = place.tensor_of(values if version >= 0 else place.device.copy(values))
        self.part._buffers[self.key] = tensor
        self._bind(tensor)

    def _note(self, tensor: torch.Tensor) -> None:
        self.tensor, self._pointer = tensor, tensor.data_ptr()
        self._values = self.buffer._values


def hold(root: Holder, named: Iterable[tuple[str, Buffer]]) -> list[HeldBuffer]:
    """Puts buffers into the parts below `root`, which it makes where there are none."""
    found = []
    for name, buffer in named:
        *path, key = name.split(".")
        found.append(HeldBuffer(name, part_at(root, path), key, buffer))
    return found
