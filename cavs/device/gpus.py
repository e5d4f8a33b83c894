"""The GPUs of this process: whether there are any, and the module whose arrays stand on them.

Nothing is searched for, and CuPy is not imported, before a GPU is first asked for.
"""

from __future__ import annotations

import glob
import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cavs._native import core
from cavs.errors import DeviceError

_native = core.cuda


def why_not() -> str:
    """Why no GPU can be used, in a line that says what to do; empty where one can be used."""
    _prepare()
    reason: str = _native.why_not()
    if reason or _native.emulated() or find_spec("cupy") is not None:
        return reason
    return (
        "[cuda] expected CuPy, whose arrays hold tensors on a GPU, got none; run "
        f"`pip install '{_package()}'`"
    )


def device_count() -> int:
    """The number of GPUs that can be used; 0 where :func:`why_not` says why."""
    return 0 if why_not() else int(_native.device_count())


def check_ordinal(ordinal: int) -> None:
    """Raises DeviceError where there is no GPU of this number."""
    reason = why_not()
    if reason:
        raise DeviceError(reason)
    count = device_count()
    if not 0 <= ordinal < count:
        raise DeviceError(
            f"[cuda] expected a GPU in 0..{count - 1}, got {ordinal}; pass one of these numbers"
        )


@cache
def array_module() -> Any:
    """CuPy, or the module that plays its part over memory of the emulated device.

    Raises:
        DeviceError: no GPU can be used, or CuPy cannot be imported.
    """
    reason = why_not()
    if reason:
        raise DeviceError(reason)
    if _native.emulated():
        return import_module("cavs.device._emulated")
    try:
        return import_module("cupy")
    except Exception as error:  # of its own libraries, which may raise anything
        raise DeviceError(
            f"[cuda] expected CuPy that can be imported, got {type(error).__name__}: {error}; run "
            f"`pip install --force-reinstall '{_package()}'`"
        ) from error


def is_emulated() -> bool:
    """Whether CAVS_CUDA_DRIVER names an emulated driver."""
    return bool(_native.emulated())


def versions() -> dict[str, str]:
    """Versions of the driver, NVRTC and cuBLAS; "none: ..." says why one is not there."""
    _prepare()
    found: dict[str, str] = _native.versions()
    return found


def info(ordinal: int) -> dict[str, Any]:
    """``name``, ``architecture``, ``processors``, ``total_bytes`` and ``free_bytes`` of a GPU.
    Raises DeviceError where there is none of this number."""
    check_ordinal(ordinal)
    found: dict[str, Any] = _native.device_info(ordinal)
    return found


def _package() -> str:
    """CuPy, with NVRTC and cuBLAS, that suits the driver: what the extras cuda12 and cuda13 ask for,
    which pip would look for on an index, while cavs may be of a checkout or a wheel."""
    version = _native.versions().get("driver", "")
    return f"cupy-cuda{12 if version.startswith('12.') else 13}x[ctk]"


@cache
def _prepare() -> None:
    """Tells the engine where NVRTC and cuBLAS may be, once, before anything of CUDA is used."""
    if not _native.emulated():
        _native.set_library_folders(":".join(library_folders()))


def library_folders() -> list[str]:
    """Folders where NVRTC and cuBLAS may be: of NVIDIA's packages beside CuPy (``nvidia-*``, for
    CUDA 13 or 12), and of toolkits."""
    patterns = [
        os.path.join(place, "nvidia", part, "lib")
        for place in sys.path
        for part in ("cu13", "cuda_nvrtc", "cublas")
    ]
    toolkits = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    for toolkit in [*filter(None, toolkits), "/usr/local/cuda*"]:
        patterns.append(os.path.join(toolkit, "lib64"))
        patterns.append(os.path.join(toolkit, "targets", "*", "lib"))
    found = [folder for pattern in patterns for folder in sorted(glob.glob(pattern))]
    return list(dict.fromkeys(found))
