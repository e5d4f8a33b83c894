"""Checks of arguments: each gives the value as its type, or raises an error that names it.

They serve calls that come now and then. Code that runs for every batch calls native code, which
checks all arrays at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import index
from typing import Any, TypeVar

import numpy as np

from cavs.errors import CavsError, InputError

_T = TypeVar("_T")
Kind = type[CavsError]

_SHOWN = 60
INT32_MAX = 2**31 - 1


def printed(value: Any, how: Callable[[Any], str] = repr) -> str:
    """The value as Python prints it; the name of its type where its own code for that raises."""
    try:
        return how(value)
    except Exception:  # an object's own __repr__ or __str__ may raise any error
        return type(value).__name__


def of_pytorch(value: Any) -> bool:
    """Whether it is an object of PyTorch, or of a class derived from one of its; PyTorch need not
    be there."""
    return any(kind.__module__.partition(".")[0] == "torch" for kind in type(value).__mro__)


def dtype_name(dtype: Any) -> str:
    """The name of a dtype, given in any form that NumPy takes for one, or as one of PyTorch's. A
    string stays as it is, and whatever is no dtype is shown as errors show it."""
    if isinstance(dtype, str):
        return dtype
    if of_pytorch(dtype):
        return printed(dtype, str).removeprefix("torch.")
    try:
        return "None" if dtype is None else np.dtype(dtype).name  # NumPy takes None for float64
    except Exception:  # NumPy asks any object for its dtype, which may raise any error
        return shown(dtype)


def device_name(device: Any) -> str:
    """The name of a device, given as such or as one of PyTorch's. Whatever is none is shown as
    errors show it."""
    if isinstance(device, str):
        return device
    is_device = of_pytorch(device) and type(device).__name__ == "device"
    return printed(device, str) if is_device else shown(device)


def shown_dtype(dtype: Any) -> str:
    """A dtype as errors show it."""
    return shown(dtype) if isinstance(dtype, str) else dtype_name(dtype)


def conversion(given: Any, dtype: str) -> str:
    """What converts an array, or what stands for one, to this dtype, as its library writes it."""
    if of_pytorch(given):
        return f"convert it with .to(torch.{dtype})"
    if hasattr(given, "astype"):
        return f"convert it with astype({dtype!r})"
    return f"convert it with numpy.asarray(x, {dtype!r})"


def listed(values: Iterable[Any]) -> str:
    """Names, or what came in their place, as a list in order."""
    return f"[{', '.join(sorted(map(printed, values)))}]"


def shown(value: Any) -> str:
    """The value as one short line; an object that holds many values is shown by its type."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        text = printed(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    kind = "Symbol" if hasattr(type(value), "__cavs_symbol__") else type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, (list, tuple, dict, set)):
        try:
            text = repr(value)
        except Exception:  # of an object in it, whose own __repr__ may raise any error
            text = " " * (_SHOWN + 1)
        return text if len(text) <= _SHOWN else f"{kind} of {len(value)}"
    return kind


def integer(
    component: str,
    name: str,
    value: Any,
    least: int,
    most: int = INT32_MAX,
    error: Kind = InputError,
) -> int:
    """An integer in least..most; Python's and NumPy's are, bools are not."""
    found = None
    if not isinstance(value, (bool, np.bool_)):
        try:
            found = index(value)
        except Exception:  # an object's own __index__ may raise any error
            found = None
    if found is None or not least <= found <= most:
        # The bound of int32 is named only for a number that exceeds it.
        plain = most == INT32_MAX and (found is None or found < least)
        bounds = f">= {least}" if plain else f"in {least}..{most}"
        raise error(
            f"[{component}] expected an integer {name} {bounds}, got {shown(value)}; pass such an "
            "integer"
        )
    return found


def number(
    component: str,
    name: str,
    value: Any,
    least: float = -math.inf,
    below: float = math.inf,
    *,
    above: bool = False,
    error: Kind = InputError,
) -> float:
    """A finite number from `least` (above it if `above`) to below `below`."""
    found = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # of an integer beyond all floats
            found = math.nan
    fits = least < found if above else least <= found
    if not (math.isfinite(found) and fits and found < below):
        sign = ">" if above else ">="
        low = "" if least == -math.inf else f" {sign} {least:g}"
        high = "" if below == math.inf else f"{' and' if low else ''} < {below:g}"
        raise error(
            f"[{component}] expected a finite {name}{low}{high}, got {shown(value)}; pass such a "
            "number"
        )
    return found + 0.0  # no negative zero


def boolean(component: str, name: str, value: Any, error: Kind = InputError) -> bool:
    """True or False, NumPy's too; `name` may be empty."""
    if not isinstance(value, (bool, np.bool_)):
        what = f" as {name}" if name else ""
        raise error(
            f"[{component}] expected True or False{what}, got {shown(value)}; pass one of these"
        )
    return bool(value)


def choice(
    component: str, name: str, value: Any, among: Collection[str], error: Kind = InputError
) -> str:
    """The value, if it is one of the names `among`."""
    if not isinstance(value, str) or value not in among:
        names = ", ".join(map(repr, among))
        raise error(
            f"[{component}] expected {name} among {names}, got {shown(value)}; pass one of these"
        )
    return value


def is_among(value: Any, names: Collection[Any]) -> bool:
    """Whether a value of any type is one of the names."""
    return isinstance(value, str) and value in names


def instance(
    component: str,
    name: str,
    value: Any,
    kind: type[_T] | tuple[type[_T], ...],
    what: str,
    error: Kind = InputError,
) -> _T:
    """The value, if it is an instance of `kind`; `what` names it in errors, with its article."""
    if not isinstance(value, kind):
        raise error(f"[{component}] expected {what} as {name}, got {shown(value)}; pass one")
    return value


def text(component: str, name: str, value: Any, error: Kind = InputError) -> str:
    """A string."""
    return instance(component, name, value, str, "text", error)


def mapping(component: str, name: str, value: Any, error: Kind = InputError) -> Mapping[Any, Any]:
    """The value, if it is a dictionary or another mapping."""
    return instance(component, name, value, Mapping, "a dictionary", error)


def items(
    component: str,
    name: str,
    values: Any,
    kind: type[_T] | tuple[type[_T], ...],
    what: str,
    error: Kind = InputError,
    pytorch: str = "",
) -> list[_T]:
    """The objects of an iterable as a list, if each is an instance of `kind`; `what` names them in
    errors, in the plural. A string or a mapping is refused. `pytorch`: what to do about objects
    of PyTorch, where that is another thing."""
    usual = type(values) is list or type(values) is tuple  # each call with graphs asks
    if not usual and (
        isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable)
    ):
        raise error(
            f"[{component}] expected {what} in a list as {name}, got {shown(values)}; "
            f"{(of_pytorch(values) and pytorch) or 'pass a list'}"
        )
    try:
        found = list(values)
    except TypeError:  # an array without axes
        raise error(
            f"[{component}] expected {what} in a list as {name}, got {shown(values)}; pass a list"
        ) from None
    for position, value in enumerate(found):
        if not isinstance(value, kind):
            raise error(
                f"[{component}] expected {what} as {name}, got {shown(value)} at {position}; "
                f"{(of_pytorch(value) and pytorch) or 'pass nothing else'}"
            )
    return found
