"""Which CUDA driver tests with the marker `gpu` run on: a GPU's own, or the emulated one."""

import ctypes
import os
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_COUNT_GPUS = """
import ctypes
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
assert driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
print(count.value)
"""


def has_gpu() -> bool:
    """Whether a GPU and CuPy are there."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    if util.find_spec("cupy") is None:
        return False
    # In a process of its own: one that has called the driver must not fork, and tests may.
    done = subprocess.run([sys.executable, "-c", _COUNT_GPUS], capture_output=True, text=True)
    return done.returncode == 0 and int(done.stdout) > 0


def build_emulator() -> Path:
    """The emulated driver's library. Raises RuntimeError where it cannot be built."""
    file = ROOT / "tools" / "cuda_emulator.py"
    if not file.exists():
        raise RuntimeError(f"no emulated CUDA driver: {file} is not there")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"no GPU, and no emulated CUDA driver: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def prepare(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before tests run, of which `items` need a driver: CAVS_CUDA_DRIVER names the emulated one
    unless it is set or a GPU is there. Skips them where there is neither."""
    marked = [item for item in items if item.get_closest_marker("gpu") is not None]
    if not marked or "CAVS_CUDA_DRIVER" in os.environ or has_gpu():
        return
    # Kernels are compiled once, not once a session.
    cache = getattr(config, "cache", None)
    place = Path(tempfile.gettempdir(), f"cavs-{os.getuid()}") if cache is None else None
    for name in ("CAVS_CUDA_CACHE", "CAVS_EMULATOR_CACHE"):
        if name not in os.environ:
            folder = cache.mkdir(name.lower()) if place is None else place / name.lower()
            os.environ[name] = str(folder.absolute())
    try:
        os.environ["CAVS_CUDA_DRIVER"] = str(build_emulator())
        # So that tests can ask what two devices do; they do not reach each other's memory.
        os.environ.setdefault("CAVS_EMULATOR_DEVICES", "2")
    except RuntimeError as error:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=str(error)))
