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


def test_two_gpus() -> None:
    environment = {**os.environ, "CAVS_EMULATOR_DEVICES": "2"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("one GPU")
    assert done.returncode == 0, done.stderr
