"""Tensors of PyTorch as the arrays that cavs reads, without a copy where that can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from cavs.errors import CavsRuntimeError, InputError
from cavs.tensor import Tensor
from cavs.torch._device import HOST, Place


def arrays_of(
    inputs: Mapping[str, Any], dtype: torch.dtype, place: Place, ids: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The inputs as cavs takes them, and those among them that are tensors of floats, as `dtype`.

    Floats are read where they are, which must be the layer's place; those given for `ids` stay
    tensors, to be refused as such. Integers go to the host, from
    wherever they are: it counts them.

    Raises:
        InputError: a tensor that has no values there, or one of cavs that wants a gradient.
    """
    arrays, floats = dict(inputs), dict[str, torch.Tensor]()
    for name, x in inputs.items():
        if isinstance(x, torch.Tensor):
            if x.dtype.is_floating_point and name in ids:
                arrays[name] = x.detach()
            elif x.dtype.is_floating_point:
                floats[name] = x = x if x.dtype is dtype else x.to(dtype)
                arrays[name] = place.array_of(x, f"input {name!r}")
            else:
                arrays[name] = HOST.array_of(x if x.is_cpu else _on_host(x), f"input {name!r}")
        elif isinstance(x, Tensor) and x.requires_grad:
            raise InputError(
                f"[torch] expected a tensor of PyTorch for input {name!r}, got one of cavs with "
                "requires_grad, to which no gradient would flow; give x.detach()"
            )
    return arrays, floats


def _on_host(x: torch.Tensor) -> torch.Tensor:
    """A copy on the host; what has no values to copy as it is."""
    try:
        return x.cpu()
    except RuntimeError:  # the check of devices and types that follows says what it is
        return x


def check_mode() -> None:
    """Checks that this call computes with numbers: not within a transform or trace of PyTorch.

    Raises:
        CavsRuntimeError: it is within one.
    """
    if torch._C._are_functorch_transforms_active():
        raise CavsRuntimeError(
            "[torch] expected a call outside of transforms, got one within torch.func (vmap, grad, "
            "jvp) or a vectorized gradient; use torch.autograd, and batch graphs by "
            "cavs.GraphBatch"
        )
    if torch._C._len_torch_dispatch_stack() and _no_values():
        raise CavsRuntimeError(
            "[torch] expected a call with values, got one within FakeTensorMode or make_fx, which "
            "computes with shapes or records; call the layer outside of it"
        )
    if torch._C._get_tracing_state() is not None:
        raise CavsRuntimeError(
            "[torch] expected a call with values, got one that torch.jit.trace records, where "
            "outputs would be constants; trace the modules around the layer"
        )


def _no_values() -> bool:
    key = torch._C._TorchDispatchModeKey
    modes = (key.FAKE, key.PROXY, key.FUNCTIONAL)
    return any(torch._C._get_dispatch_mode(mode) is not None for mode in modes)
