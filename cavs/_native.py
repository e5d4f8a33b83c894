"""The compiled extension, or an ImportError that says how to get it.

For the packages below the executor, which need its graph classes and nothing else of it.
"""

import os
import re
import sys
from importlib import import_module
from typing import Any

from cavs.errors import CavsError, InputError

__all__ = ["core"]

try:
    #: The module ``cavs._core``; typed `Any`, because a type checker sees no C++.
    core: Any = import_module("cavs._core")
except ModuleNotFoundError as error:
    raise ImportError(
        "[cavs] expected the compiled extension cavs._core next to the Python files, got "
        f"{error}; run `pip install .` in the repository, and Python outside of it"
    ) from error
except ImportError as error:
    raise ImportError(
        f"[cavs] expected the compiled extension cavs._core to load, got {error}; install cavs "
        "again with this Python"
    ) from error


def _read_environment() -> None:
    """Follows CAVS_ISA, which the extension has read, and CAVS_NUM_THREADS; empty is unset.

    Raises:
        InputError: one of them has a value that cannot be followed.
    """
    core.check_isa()
    threads = os.environ.get("CAVS_NUM_THREADS", "")
    if not threads:
        return
    if not re.fullmatch("[0-9]{1,4}", threads) or not 1 <= int(threads) <= _MOST_THREADS:
        raise InputError(
            "[cavs] expected the environment variable CAVS_NUM_THREADS to be a number of threads "
            f"in 1..{_MOST_THREADS}, got {threads!r}; unset it for one per core"
        )
    core.set_num_threads(int(threads))


def _is_command() -> bool:
    """Whether the command ``cavs`` is what imports the package, before any of it can run."""
    if sys.argv[:1] == ["-m"]:  # as long as runpy looks for the module
        module = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
        return module[:1] in (["cavs"], ["cavs.cli"])
    return os.path.basename(sys.argv[0] if sys.argv else "") in ("cavs", "cavs.exe")


_MOST_THREADS = 1024

try:
    _read_environment()
except CavsError as error:
    if not _is_command():
        raise
    sys.exit(f"cavs: {error}")  # a line on standard error, and status 1
