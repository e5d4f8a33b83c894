"""tools/gpu_check.sh as far as it goes without a card and without a wheel of the engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "gpu_check.sh"
pytestmark = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell"),
]

# Stands for cavs: why_not() needs a package of the interpreter that PYTHON names.
INIT = """
class cuda:
    def why_not():
        import standing_for_cupy
        return standing_for_cupy.word
"""
METADATA = "Metadata-Version: 2.1\nName: cavs-nn\nVersion: 0.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of the script alone, with a prepared wheel."""
    (tmp_path / "tools").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    prepared = tmp_path / "build" / "gpu_check"
    prepared.mkdir(parents=True)
    with zipfile.ZipFile(prepared / "cavs_nn-0.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("cavs/__init__.py", INIT)
        wheel.writestr("cavs/__main__.py", "print('info')\n")
        for name, text in (("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", "")):
            wheel.writestr(f"cavs_nn-0.0.dist-info/{name}", text)
    return tmp_path


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of an environment with a package of its own, as users activate it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    place = Path(packages.stdout.strip())
    (place / "standing_for_cupy.py").write_text("word = 'it is seen'\n")
    for name in ("numpy", "scipy_openblas32", "safetensors", "tqdm", "pytest", "hypothesis"):
        (place / f"{name}.py").touch()
    return python


def run(root: Path, interpreter: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: word for key, word in os.environ.items() if key != "CAVS_CUDA_DRIVER"}
    environment |= {"PYTHON": str(interpreter), "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["bash", str(root / "tools" / "gpu_check.sh"), *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_the_wheel_stands_over_the_packages_of_the_interpreter(
    root: Path, interpreter: Path
) -> None:
    done = run(root, interpreter, "out")
    assert done.returncode == 1, done.stderr  # without a GPU nothing could run
    assert "| all | missing: it is seen | |" in done.stdout
    assert (root / "out" / "summary.md").read_text() in done.stdout
    assert "info" in (root / "out" / "environment.txt").read_text()


def test_without_arguments_it_says_what_it_does(root: Path, interpreter: Path) -> None:
    done = run(root, interpreter)
    assert done.returncode == 2
    assert "tools/gpu_check.sh --prepare" in done.stdout


@pytest.mark.parametrize("arguments", [["--prepare"], ["out"]])
def test_packages_that_are_missing_are_named_at_the_beginning(
    root: Path, tmp_path: Path, arguments: list[str]
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = run(root, bare / "bin" / "python", *arguments)
    assert done.returncode == 1
    assert "[gpu_check] expected the packages of cavs" in done.stderr
    assert "none of: numpy safetensors tqdm" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (root / "out").exists()
