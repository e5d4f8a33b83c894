"""Programs in processes of their own that use an emulated GPU, some in a wrong way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

MESSAGE = re.compile(r"\[\w+\] expected .+, got .+; .+")
#: A model on a GPU beside the same on the CPU: `check()` says that it can be used.
MODEL = """
import numpy as np, cavs
GRAPHS = cavs.batch([cavs.InputGraph([[], [0], [1]])])
INPUTS = {"word": [1, 2, 3], "label": [0, 1, 4]}
def make(device, hidden=8):
    cavs.nn.init.manual_seed(0)
    return cavs.compile(cavs.models.LSTM(10, 4, hidden, 5), device=device)
def check(model=None, hidden=8):
    model = model or make("cuda", hidden)
    found = model(GRAPHS, **INPUTS)["loss"].numpy()
    expected = make("cpu", hidden)(GRAPHS, **INPUTS)["loss"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
"""


def python(code: str, *args: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MODEL + code, *args],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=500,
    )


def environment(**variables: str | None) -> dict[str, str]:
    """This process's, with these variables; without those that are None."""
    both = {**os.environ, **variables}
    return {name: value for name, value in both.items() if value is not None}


def caches(place: Path) -> dict[str, str | None]:
    """Variables for which kernels are compiled anew, and kept in a folder."""
    return {"CAVS_CUDA_CACHE": str(place), "CAVS_EMULATOR_CACHE": str(place)}


def assert_good(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
