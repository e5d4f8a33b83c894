"""Two GPUs in one process: each with its own arrays, and one error where they meet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gpu

CODE = """
import copy
import pickle

import numpy as np

import cavs
from cavs.device import device_of, find_device
from cavs.device.taking import as_array

if cavs.cuda.device_count() < 2:
    raise SystemExit(77)
x = cavs.Tensor(np.ones((2, 3)))
first, second = x.to("cuda:0"), x.to("cuda:1")
assert (first.device, second.device) == ("cuda:0", "cuda:1")
y = cavs.Tensor(second.data, requires_grad=True)
z = (y * 2.0 + y[0]).softmax().sum()
assert z.device == "cuda:1"
z.backward()
assert device_of(y.grad) is find_device("cuda:1")
assert copy.deepcopy(second).device == pickle.loads(pickle.dumps(second)).device == "cuda:1"


class Foreign:
    __cuda_array_interface__ = second.data.__cuda_array_interface__


assert device_of(as_array(Foreign())) is find_device("cuda:1")
try:
    first + second
except cavs.InputError as error:
    assert "some on cuda:0 and some on cuda:1" in str(error)
else:
    raise AssertionError
cavs.nn.init.manual_seed(0)
F = cavs.models.LSTM(7, 4, 5, 3)
graphs = cavs.batch([cavs.InputGraph([[], [0]])])
inputs = {"word": [1, 2], "label": [0, 1]}
expected = cavs.compile(F)(graphs, **inputs)["loss"].numpy()
model = cavs.compile(F, device="cuda:1")
out = model(graphs, **inputs)["loss"]
assert out.device == "cuda:1"
np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
out.sum().backward()
cavs.optim.Adam(model.named_parameters()).step()
assert {p.device for p in model.parameters()} == {"cuda:1"}
cavs.cuda.synchronize("cuda:1")
assert model.to("cuda:0").device == "cuda:0"
assert model(graphs, **inputs)["loss"].device == "cuda:0"
"""


CURRENT = """
import ctypes
import os

import numpy as np

import cavs
from cavs.device import find_device

if cavs.cuda.device_count() < 2:
    raise SystemExit(77)
driver = ctypes.CDLL(os.environ.get("CAVS_CUDA_DRIVER") or "libcuda.so.1")


def current():
    context = ctypes.c_void_p()
    assert driver.cuCtxGetCurrent(ctypes.byref(context)) == 0
    return context.value


cavs.Tensor(np.ones(3)).to("cuda:0")
contexts = [ctypes.c_void_p(), ctypes.c_void_p()]
for ordinal, context in enumerate(contexts):
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), ordinal) == 0
assert driver.cuCtxSetCurrent(contexts[0]) == 0
mine = current()
assert mine == contexts[0].value != contexts[1].value


def check(does, what):
    result = what()
    assert current() == mine, does
    return result


graphs = cavs.batch([cavs.InputGraph([[], [0]])])
inputs = {"word": [1, 2], "label": [0, 1]}
F = cavs.models.LSTM(7, 4, 5, 3)
model = check("compile", lambda: cavs.compile(F, device="cuda:1"))
optimizer = check("an optimizer", lambda: cavs.optim.Adam(model.named_parameters()))
for _ in range(4):
    loss = check("a call", lambda: model(graphs, **inputs)["loss"].sum())
    check("backward", loss.backward)
    check("clipping", lambda: cavs.optim.clip_grad_norm(model.parameters(), 1.0))
    check("an update", optimizer.step)
    check("a step", lambda: model.step(graphs, optimizer, clip_norm=1.0, **inputs))
    check("a value", loss.item)
check("memory", lambda: model.memory(graphs, **inputs))
check("explain", lambda: str(model.explain(graphs, repeats=1, **inputs)))
check("a copy", lambda: model.state_dict())
check("waiting", lambda: cavs.cuda.synchronize("cuda:1"))
check("giving back", cavs.memory.release_memory)
check("a move", lambda: model.to("cpu"))
assert find_device("cuda:1").ordinal == 1
"""


def run(code: str) -> None:
    environment = {**os.environ, "CAVS_EMULATOR_DEVICES": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("one GPU")
    assert done.returncode == 0, done.stderr


def test_two_gpus() -> None:
    run(CODE)


def test_the_current_gpu_stays_current() -> None:
    run(CURRENT)
