"""Builds the native module of dynamic/ in place: ``python benchmarks/build_dynamic.py``.

Needs CMake, Ninja and pybind11 (``pip install cmake ninja 'pybind11>=3'``) and a C++ compiler.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def missing() -> list[str]:
    """The tools that the build needs and does not find."""
    tools = [name for name in ("cmake", "ninja") if _tool(name) is None]
    return tools + (["pybind11"] if importlib.util.find_spec("pybind11") is None else [])


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def build(folder: Path | None = None, prefix: Path = ROOT) -> None:
    """Configures and builds in `folder` and installs below `prefix`.

    Raises:
        RuntimeError: a tool is missing, or the build failed.
    """
    if missing():
        raise RuntimeError(
            f"[dynamic] expected cmake, ninja and pybind11, got none of {missing()}; "
            "pip install cmake ninja pybind11"
        )
    folder = ROOT / "build" / "benchmarks" if folder is None else folder
    cmake = str(_tool("cmake"))
    options = {
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "Python_EXECUTABLE": sys.executable,
        "CAVS_BUILD_PYTHON": "OFF",
        "CAVS_BUILD_BENCHMARKS": "ON",
    }
    configure = [cmake, "-G", "Ninja", "-S", str(ROOT), "-B", str(folder)]
    commands = [
        [*configure, *[f"-D{name}={value}" for name, value in options.items()]],
        [cmake, "--build", str(folder)],
        [cmake, "--install", str(folder), "--prefix", str(prefix), "--component", "benchmarks"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"[dynamic] expected {' '.join(command[:2])} to succeed, got status "
                f"{done.returncode}; see below\n{done.stdout}{done.stderr}"
            )


if __name__ == "__main__":
    build()
