"""Settings of native calls in the whole process: threads, denormal numbers, the BLAS library."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from cavs._arguments import boolean, choice, shown
from cavs._native import core as _core
from cavs.errors import InputError


def _find_blas() -> None:
    # Importing it would load the library, with a thread for each core; the engine loads it when a
    # program with products is made.
    found = find_spec("scipy_openblas32")
    if found is None or found.origin is None:
        raise ImportError("[cavs] expected scipy-openblas32, got none; install it with pip")
    folder = os.path.join(os.path.dirname(found.origin), "lib")
    for name in sorted(os.listdir(folder)):
        if name.startswith("libscipy_openblas") and ".so" in name:
            _core.set_blas_path(os.path.join(folder, name))
            return
    raise ImportError(
        f"[cavs] expected libscipy_openblas.so in {folder}, got none; reinstall scipy-openblas32"
    )


_find_blas()


def set_num_threads(count: int) -> None:
    """Threads that native calls use from now on; at first the cores that the process may use.

    Raises:
        InputError: `count` is not in 1..1024.
    """
    given: Any = count
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 1024:
        raise InputError(
            f"[threads] expected a number of threads in 1..1024, got {shown(count)}; pass such an "
            "integer"
        )
    _core.set_num_threads(count)


def get_num_threads() -> int:
    """Threads that native calls use."""
    return int(_core.num_threads())


def set_flush_denormals(enabled: bool) -> None:
    """Whether native calls in float32 take denormal numbers, below 1.2e-38 in magnitude, for
    zero from now on, as operands and as results of arithmetic. On at first.

    Processors need a hundred cycles and more for one, and L2 decay brings weights there that no
    gradient holds, so that a training step takes several times as long. Off, float32 follows IEEE
    754 to its last number. The setting holds for the whole process: for runs of programs,
    optimisers, norms and sums of tensors, in all threads that they use, matrix products of OpenBLAS
    included. Calls in float64 always follow IEEE 754. A call leaves the caller's own mode as it was
    and takes no notice of it. NumPy, which computes the other operations on tensors, is not
    concerned.

    Raises:
        InputError: `enabled` is no bool; CavsRuntimeError: True on a machine that cannot (neither
        x86-64 nor arm64), where the setting is off.
    """
    _core.set_flush_denormals(boolean("denormals", "", enabled))


def get_flush_denormals() -> bool:
    """Whether native calls in float32 take denormals for zero; see :func:`set_flush_denormals`."""
    return bool(_core.flush_denormals())


def set_matmul_precision(precision: str) -> None:
    """How exactly products of float32 matrices are computed on a GPU from now on, in the whole
    process: ``"highest"``, at first, rounds as float32 does; ``"high"`` lets tensor cores round the
    factors to TF32 (10 bits of mantissa) before they multiply, and sums in float32. float64 and
    the CPU are not concerned. The names are those of PyTorch.

    Raises:
        InputError: `precision` is neither.
    """
    choice("matmul", "precision", precision, ("highest", "high"))
    _core.set_uses_tf32(precision == "high")


def get_matmul_precision() -> str:
    """``"highest"`` or ``"high"``; see :func:`set_matmul_precision`."""
    return "high" if _core.uses_tf32() else "highest"


def compiles_groups() -> bool:
    """Whether elementwise groups of float32 run as machine code. They are interpreted on other
    processors, and where the system lets no memory be executable."""
    return bool(_core.can_compile_groups())


def instruction_set() -> str:
    """Instruction set of the kernels, chosen at start-up: ``avx512``, ``avx2`` or ``generic``."""
    return str(_core.instruction_set())
