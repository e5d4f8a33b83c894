"""Adding an operation takes its row, its formula or kernel, and its case: shown on made-up ones."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_ops import ELEMENTWISE, REDUCTION, Change, add, copy_sources

OPS = {"cube": ELEMENTWISE, "row_sum_of_squares": REDUCTION}
each_op = pytest.mark.parametrize(("name", "changes"), OPS.items(), ids=OPS)


def run(folder: Path, *arguments: str) -> None:
    """Runs tests of the copy on the copy."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@each_op
def test_row_and_case_are_all_of_python(name: str, changes: list[Change], tmp_path: Path) -> None:
    """Shape rule, rows, dtypes and gradient against central differences."""
    copy_sources(tmp_path)
    touched = add(changes, tmp_path)
    python = [path for path in touched if path.endswith(".py")]
    assert len(python) == 2
    assert python[0].startswith("cavs/core/ops/")
    assert python[1] == "tests/ops_cases.py"
    run(tmp_path, "tests/core/test_ops.py", "-k", name)


def build(folder: Path) -> None:
    """Compiles the extension of the copy into its package."""
    cmake = shutil.which("cmake")
    pybind11 = importlib.util.find_spec("pybind11")
    if cmake is None or pybind11 is None or pybind11.origin is None:
        pytest.skip("cmake and pybind11 are not installed (extra: dev)")
    tree = folder / "build"
    cache = shutil.which("ccache")
    options = [
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={Path(pybind11.origin).parent / 'share' / 'cmake' / 'pybind11'}",
        *([f"-DCMAKE_CXX_COMPILER_LAUNCHER={cache}"] if cache else []),
    ]
    for command in (
        [cmake, "-S", str(folder), "-B", str(tree), *options],
        [cmake, "--build", str(tree), "--parallel", "2"],
        [cmake, "--install", str(tree), "--prefix", str(folder)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.slow
def test_native_code_of_both(tmp_path: Path) -> None:
    """Each is computed by the engine as its reference says, alone, in groups and among others."""
    copy_sources(tmp_path)
    touched = {name: add(changes, tmp_path) for name, changes in OPS.items()}
    assert [len(touched[name]) for name in OPS] == [3, 5]
    build(tmp_path)
    wanted = " or ".join([*OPS, "table", "case", "EveryCase", "library_uses", "kernels_are_those"])
    files = ("core/test_ops_native.py", "core/test_verify.py", "kernels/test_cpu_fused.py")
    run(tmp_path, *(f"tests/{name}" for name in files), "-k", wanted)
