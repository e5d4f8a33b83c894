"""Devices by name and by array, and that nobody else computes on arrays of tensors."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs._arguments import shown
from cavs.device import Device, cpu, cuda, device_of, find_device, gpus, host, is_array
from cavs.errors import DeviceError, InputError
from cavs.models import LSTM
from cavs.tensor import RowSparse

FOLDER = Path(cavs.__file__).parent


def test_the_cpu_by_name() -> None:
    assert find_device("cpu") is cpu
    assert find_device("cpu").name == "cpu"
    assert host is cpu


@pytest.mark.parametrize(
    "name", ["gpu", "", "CPU", "cuda:", "cuda:x", "cuda:-1", None, 3, ["cpu"], np.zeros(3)]
)
def test_other_devices_are_refused(name: Any) -> None:
    with pytest.raises(InputError) as error:
        find_device(name)
    message = str(error.value)
    assert message.startswith("[compile] expected device 'cpu', 'cuda' or 'cuda:1', got ")
    assert message.endswith(f"got {shown(name)}; pass one of these")
    assert "\n" not in message
    with pytest.raises(InputError, match=r"^\[compile\] expected device 'cpu', 'cuda'"):
        cavs.compile(LSTM(3, 2, 2, 2), device=name)


def test_devices_of_pytorch_are_names_too() -> None:
    torch = pytest.importorskip("torch")
    assert find_device(torch.device("cpu")) is cpu
    model = cavs.compile(LSTM(3, 2, 2, 2), device=torch.device("cpu"))
    assert model.to(torch.device("cpu")) is model
    with pytest.raises(InputError, match="got 'mps'; pass one of these"):
        find_device(torch.device("mps"))


def test_a_gpu_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "[cuda] expected a driver, got none; install one"
    monkeypatch.setattr(gpus, "why_not", lambda: reason)
    monkeypatch.setattr(cuda, "gpu", cuda.Gpu)  # not the one that is kept
    for name in ("cuda", "cuda:1"):
        with pytest.raises(DeviceError, match=r"^\[cuda\] expected a driver, got none"):
            find_device(name)
        with pytest.raises(DeviceError, match=r"^\[cuda\] expected a driver, got none"):
            cavs.compile(LSTM(3, 2, 2, 2), device=name)


def test_nothing_of_a_gpu_is_imported_before_it_is_asked_for() -> None:
    code = """
import sys
import cavs
model = cavs.compile(cavs.models.LSTM(3, 2, 2, 2))
model(cavs.batch([cavs.InputGraph([[]])]), word=[0], label=[0])["loss"].sum().backward()
names = ("cavs.cuda", "cavs.device.cuda", "cavs.device.gpus", "cavs.device._emulated", "cupy")
found = [name for name in names if name in sys.modules]
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_device_of_an_array() -> None:
    for array in (np.zeros(3), np.zeros(()), np.zeros((0, 2), np.int32), np.float32(1)):
        assert device_of(array) is cpu
    for other in ([1.0], None, 1.0, cavs.tensor([1.0])):
        with pytest.raises(InputError, match=r"^\[device\] expected an array"):
            device_of(other)  # type: ignore[arg-type]


def test_what_is_an_array() -> None:
    assert is_array(np.zeros(3))
    sparse = RowSparse(np.zeros(1, np.int32), np.zeros((1, 2)), (3, 2))
    for other in ([1.0], None, np.float32(1), cavs.tensor([1.0]), sparse):
        assert not is_array(other)


def test_a_device_has_all_verbs_and_no_others() -> None:
    verbs = {name for name in vars(Device) if not name.startswith("_")}
    verbs |= set(Device.__annotations__)
    assert set(cpu.__all__) == verbs
    assert all(hasattr(cpu, verb) for verb in verbs)
    for verb in verbs - {"name", "native"}:
        assert vars(Device)[verb].__doc__, verb


# What is done with NumPy to what the host has: ids and sizes of graphs, dtypes, options,
# checkpoints, what errors quote.
OF_THE_HOST = {
    "tensor/_array_like.py": {"array2string", "array", "ndarray"},
    "tensor/_comparisons.py": {"bool_", "generic", "ndarray", "number"},
    "tensor/_evaluate.py": {"number", "float32", "unravel_index"},
    "tensor/_nonfinite.py": {"isnan", "isinf", "argwhere"},
    "tensor/_random.py": {"arange", "zeros", "int64", "int32", "uint32", "integer"},
    "tensor/_row_sparse.py": {"int32", "result_type"},
    "tensor/_views.py": {"asarray", "zeros", "int64", "broadcast_to", "False_"},
    "optim/_optimizer.py": {"asarray", "float64", "isnan", "floor"},
    "optim/_native.py": {"zeros", "int64"},
    "optim/schedules.py": {"asarray"},
    "readout.py": {
        *("diff", "repeat", "arange", "maximum", "ones"),
        *("bincount", "searchsorted", "flatnonzero", "iinfo"),
    },
    "execution/remembered.py": {"zeros", "int64", "flatnonzero"},
}
FILES = [
    *(FOLDER / "tensor").glob("*.py"),
    *(FOLDER / "optim").glob("*.py"),
    FOLDER / "readout.py",
    FOLDER / "execution" / "remembered.py",
]


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(FOLDER)) for p in FILES])
def test_only_devices_compute_on_arrays(path: Path) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "np"
    }
    allowed = OF_THE_HOST.get(path.relative_to(FOLDER).as_posix(), set())
    assert used - {"dtype"} == allowed
