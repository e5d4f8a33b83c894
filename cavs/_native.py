"""The compiled extension, or an ImportError that says how to get it.

It serves the packages below the executor, which need its graph classes and nothing else of it.

The extension stands beside the Python files. In a clone whose package was installed elsewhere it
does not, and yet the folder of the sources comes before the installed package: then the installed
extension is taken, if it is of the same version.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NoReturn

from cavs.errors import InputError

__all__ = ["core"]

_NAME = "cavs._core"
_HERE = Path(__file__).resolve().parent


def _load() -> Any:
    own = (_HERE / f"_core{suffix}" for suffix in EXTENSION_SUFFIXES)
    beside = next((file for file in own if file.is_file()), None)
    file = None if beside else _find_installed()
    found = beside or file
    if found is None:
        raise ImportError(
            f"[cavs] expected the compiled extension {_NAME} in {_HERE}, or installed for this "
            "Python, got none; run `pip install .` in the repository"
        )
    module: Any = None
    wrong, cause = _wrong_with(found), None
    if wrong is None:
        try:
            module = import_module("cavs._core") if file is None else _load_from(file)
        except ImportError as error:
            wrong, cause = str(error), error
    if wrong is not None:
        raise ImportError(
            f"[cavs] expected the compiled extension {_NAME} to load, got {wrong}; install cavs "
            "again with this Python: run `pip install .` in the repository"
        ) from cause
    version, wanted = getattr(module, "__version__", None), _version_of_sources()
    if wanted is not None and version != wanted:
        raise ImportError(
            f"[cavs] expected the compiled extension {_NAME} of version {wanted}, that of these "
            f"sources, got {version} in {module.__file__}; run `pip install .` in {_HERE.parent}"
        )
    vars(module)["__getattr__"] = partial(_refuse_unknown, str(module.__file__))
    return module


def _wrong_with(file: Path) -> str | None:
    """What is wrong with an ELF file that the system does not refuse in words: loading one that
    was cut off ends the process, and one for another processor is said not to be there."""
    try:
        with file.open("rb") as opened:
            head, size = opened.read(64), os.fstat(opened.fileno()).st_size
        with open("/proc/self/exe", "rb") as opened:
            own = opened.read(64)
    except OSError:
        return None  # loading says why, or this system has no such files
    if head[:5] != b"\x7fELF\x02" or head[:6] != own[:6]:
        return None
    if head[18:20] != own[18:20]:
        return f"{file}, which is for another processor"
    order: Any = "little" if head[5] == 1 else "big"
    sections, length, count = (
        int.from_bytes(head[first:last], order) for first, last in ((40, 48), (58, 60), (60, 62))
    )
    # They stand at the end.
    return f"{file}, of which the end is missing" if size < sections + length * count else None


def _refuse_unknown(file: str, name: str) -> NoReturn:
    """Says of a name that the extension lacks that it is of other sources: in a clone, the Python
    files may be newer."""
    raise AttributeError(
        f"[cavs] expected {name} in the compiled extension {_NAME}, got one that was built from "
        f"other sources ({file}); build it again: run `pip install -e .` in the repository",
        name=name,
    )


def _find_installed() -> Path | None:
    """The extension of another importable copy of this package."""
    for entry in sys.path:
        folder = Path(entry) / "cavs"
        for suffix in EXTENSION_SUFFIXES:
            file = folder / f"_core{suffix}"
            if file.is_file():
                return file.resolve()
    return None


def _load_from(file: Path) -> Any:
    spec = spec_from_file_location(_NAME, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"[cavs] expected an extension, got {file}; install cavs again")
    module = sys.modules[_NAME] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_NAME]
        raise
    return module


def _version_of_sources() -> str | None:
    """The version that pyproject.toml names in a checkout; None in an installed package."""
    try:
        lines = (_HERE.parent / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    name, version = 'name = "cavs-nn"', r'version = "([^"]+)"'
    project = re.search(rf"^\[project\]\s+{name}\s+{version}", lines, re.MULTILINE)
    return None if project is None else project[1]


def _read_environment() -> None:
    """Follows CAVS_ISA, which the extension has read, and CAVS_NUM_THREADS; empty counts as unset.

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


_MOST_THREADS = 1024

#: The module ``cavs._core``; typed `Any`, because a type checker sees no C++.
core: Any = _load()
_read_environment()
