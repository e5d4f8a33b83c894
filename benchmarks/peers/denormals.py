"""Makes this thread, and threads that it then starts, take and give denormal numbers as zeros."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

# glibc's fenv_t on x86-64: the x87 unit's environment, and then MXCSR.
_SIZE, _MXCSR = 32, 28
_FLUSH_TO_ZERO, _ZERO_INPUTS = 0x8000, 0x0040


def flush_denormals() -> bool:
    """Turns it on if the processor and the C library are known; returns whether they are."""
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    environment = (ctypes.c_ubyte * _SIZE)()
    library.fegetenv(environment)
    register = ctypes.c_uint32.from_buffer(environment, _MXCSR)
    register.value |= _FLUSH_TO_ZERO | _ZERO_INPUTS
    library.fesetenv(environment)
    return True
