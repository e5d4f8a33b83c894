"""The options of a compiled vertex function: see `cavs.compile`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy.typing as npt

from cavs._arguments import device_name, dtype_name, is_among, items, shown, shown_dtype
from cavs.core.passes import PASSES
from cavs.core.trace import Trace
from cavs.device import find_device, host
from cavs.errors import DTypeError, InputError
from cavs.scheduler import Policy, check_policy

DType = str | npt.DTypeLike


class CompileOptions(NamedTuple):
    """The options beside the seed.

    Attributes:
        dtype, outputs, passes, policy, executor, device, extra_children: see :func:`cavs.compile`.
        rewrite: changes F as traced, before the passes.
    """

    dtype: Any
    outputs: Iterable[str] | None
    passes: Iterable[str] | None
    policy: str | Policy | None
    executor: str
    device: str
    extra_children: str
    rewrite: Callable[[Trace], Trace] | None

    def check(self) -> CompileOptions:
        """The options with the dtype by name and with names as tuples, if they are valid. Names of
        outputs, of passes and of the executor are compared where the function is compiled.

        Raises:
            DTypeError: not float32 or float64; InputError: another option is none of its values.
        """
        dtype = float_dtype("compile", self.dtype)
        policy = self.policy if self.policy is None else check_policy(self.policy, "compile")
        device = find_device(self.device)
        if is_among(self.executor, ("reference",)) and device is not host:
            raise InputError(
                f"[compile] expected device 'cpu' with the reference executor, got "
                f"{device.name!r}; use executor='native'"
            )
        if not is_among(self.extra_children, ("error", "ignore")):
            raise InputError(
                "[compile] expected extra_children error or ignore, got "
                f"{shown(self.extra_children)}; pass one of these"
            )
        passes, outputs = self.passes, self.outputs
        if passes is not None:
            passes = items("compile", "passes", passes, str, "names of passes")
        if outputs is not None:
            outputs = tuple(items("compile", "outputs", outputs, str, "names of outputs"))
        if policy == "serial":  # runs a vertex at a time, so leaves do not come first
            passes = [p for p in (PASSES if passes is None else passes) if p != "specialize_leaves"]
        passes = None if passes is None else tuple(passes)
        return self._replace(
            dtype=dtype, outputs=outputs, passes=passes, policy=policy, device=device.name
        )


def float_dtype(component: str, dtype: Any, otherwise: str = "") -> str:
    """The name of a dtype of models; raises DTypeError where it is neither float32 nor float64.
    `otherwise` names what else might have been given."""
    name = dtype_name(dtype)
    if name not in ("float32", "float64"):
        raise DTypeError(
            f"[{component}] expected dtype float32 or float64{otherwise}, got "
            f"{shown_dtype(dtype)}; pass one of these"
        )
    return name


def as_device_and_dtype(device: Any, dtype: Any) -> tuple[str | None, str | None]:
    """The names of a device and of a dtype to go to, None for what stays. A dtype may come first,
    as in ``model.to("float64")``.

    Raises:
        InputError: no device has such a name; DTypeError: neither is given, or another dtype than
        float32 and float64; DeviceError: the GPU cannot be used.
    """
    if device is not None and dtype is None and not _is_device_name(device):
        device, dtype = None, device
    if device is None:
        return None, float_dtype("to", dtype, ", or a device such as cpu, cuda or cuda:1")
    name = find_device(device, "to").name
    return name, None if dtype is None else float_dtype("to", dtype)


def _is_device_name(value: Any) -> bool:
    return device_name(value).partition(":")[0] in ("cpu", "cuda")


def asked_outputs(outputs: Any, pushes: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the outputs that a call asks for, in the order of `pushes`; None for all.

    Raises:
        InputError: F pushes no such output, or none is asked for.
    """
    if outputs is None:
        return None
    names = [outputs]
    if not isinstance(outputs, str):
        names = items("call", "outputs", outputs, str, "names of outputs")
    if not names or not pushes.keys() >= set(names):
        raise InputError(
            f"[call] expected outputs among {list(pushes)}, one or more, got {shown(names)}; "
            "choose some of these, or leave them out for all"
        )
    return None if pushes.keys() <= set(names) else tuple(name for name in pushes if name in names)
