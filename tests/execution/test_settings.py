"""What the whole process shares: when the BLAS library is loaded, which devices there are."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cavs
from cavs.errors import InputError

LOADED = """
import sys, threading
import numpy as np, cavs
from cavs._native import core

class Function(cavs.VertexFunction):
    def __init__(self, products):
        self.linear = cavs.nn.Linear(4, 4) if products else None
    def forward(self, v):
        x = v.pull("x", 4)
        y = self.linear(x) if self.linear is not None else x * 2
        v.scatter(h=y + v.gather(h=4).h.sum())
        v.push(y=y)

graphs = cavs.batch([cavs.InputGraph.from_parents([2, 2, -1])])
x = np.ones((3, 4), np.float32)
said = [core.blas_loaded()]
cavs.compile(Function(False))(graphs, x=x)
said.append(core.blas_loaded())
models = [cavs.compile(Function(True)) for _ in range(4)]
said.append(core.blas_loaded())
threads = [threading.Thread(target=model, args=(graphs,), kwargs={"x": x}) for model in models]
for thread in threads: thread.start()
for thread in threads: thread.join()
said.append(core.blas_loaded())
print(said)
"""


def test_blas_is_loaded_by_the_first_program_with_products() -> None:
    command = [sys.executable, "-W", "error", "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False, True]"


MISSING = """
import numpy as np, cavs
from cavs._native import core
core.set_blas_path("/nowhere/libblas.so")
class Function(cavs.VertexFunction):
    def __init__(self):
        self.linear = cavs.nn.Linear(4, 4)
    def forward(self, v):
        v.push(y=self.linear(v.pull("x", 4)))
try:
    cavs.compile(Function())(cavs.InputGraph([[]]), x=np.ones((1, 4), np.float32))
except cavs.errors.CavsRuntimeError as error:
    print(error)
"""


def test_a_library_that_is_not_there_is_said_before_anything_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("[blas] expected a shared library at /nowhere/libblas.so")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("device", ["CPU", "", "cuda:", "cuda:x", "tpu", ["cpu"], 3])
def test_devices(device: object) -> None:
    for executor in ("native", "reference"):
        with pytest.raises(InputError, match=r"\[compile\] expected device 'cpu', 'cuda' or "):
            cavs.compile(Doubles(), device=device, executor=executor)  # type: ignore[arg-type]


class Doubles(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", 3) * 2)


@pytest.mark.gpu
def test_the_device_reaches_the_backend() -> None:
    model = cavs.compile(Doubles(), device="cuda")
    assert model.device == "cuda:0"
    assert model(cavs.InputGraph([[]]), x=[[1.0, 2.0, 3.0]])["y"].device == "cuda:0"


def test_the_precision_of_products_on_a_gpu() -> None:
    assert cavs.get_matmul_precision() == "highest"
    try:
        cavs.set_matmul_precision("high")
        assert cavs.get_matmul_precision() == "high"
        for wrong in ("medium", "", None, 32):
            with pytest.raises(InputError, match="expected precision among 'highest', 'high'"):
                cavs.set_matmul_precision(wrong)  # type: ignore[arg-type]
        assert cavs.get_matmul_precision() == "high"
    finally:
        cavs.set_matmul_precision("highest")
