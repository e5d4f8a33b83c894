"""Forks, interrupts, threads, several devices and too little memory, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cuda_counts import is_emulated
from cuda_programs import MESSAGE, assert_good, environment, python
from option_settings import settings_of, words_of
from user_model_files import write_small_data

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _emulated() -> None:
    if not is_emulated():
        pytest.skip("a real driver cannot be made to fail")


FORK = """
import os, multiprocessing, sys
model = make("cuda")
x = cavs.Tensor(np.ones(3)).to("cuda")
check(model)

def child():
    attempts = (lambda: model(GRAPHS, **INPUTS), lambda: make("cuda"), lambda: x + 1.0, x.numpy,
                lambda: cavs.Tensor(np.ones(3)).to("cuda"), lambda: model.to("cpu"),
                lambda: cavs.cuda.synchronize())
    for attempt in attempts:
        try:
            attempt()
        except cavs.DeviceError as error:
            assert "forked after its parent's first call of CUDA" in str(error), error
        else:
            raise AssertionError
    assert not cavs.cuda.is_available()
    assert "forked" in cavs.cuda.why_not()
    check(make("cpu"))

process = multiprocessing.get_context("fork").Process(target=child)
process.start(); process.join()
assert process.exitcode == 0, process.exitcode
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    child()
    sys.exit(7)  # by way of the interpreter's end
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
check(model)
with multiprocessing.get_context("fork").Pool(2) as pool:  # workers that use the CPU alone
    assert pool.map(abs, [-1, -2]) == [1, 2]
check(model)
"""


def test_fork() -> None:
    done = python(FORK)
    assert_good(done)
    assert "Error" not in done.stderr


def test_workers_of_torch_after_a_fork() -> None:
    pytest.importorskip("torch")
    code = """
from torch.utils.data import DataLoader
model = make("cuda")
check(model)
class Data:
    def __len__(self): return 8
    def __getitem__(self, i):
        return float(make("cpu")(GRAPHS, **INPUTS)["loss"].numpy().sum())
for _ in range(2):
    assert len([x for x in DataLoader(Data(), batch_size=2, num_workers=2)]) == 4
check(model)
"""
    done = python(code)
    assert_good(done)


INTERRUPTED = """
import signal, sys, threading, time, os
waiting = threading.Event()
def interrupt():
    while waiting.wait() and not over:
        time.sleep(0.3)  # again and again: Python loses those that meet a finalizer
        if waiting.is_set():
            os.kill(os.getpid(), signal.SIGINT)
over = False
threading.Thread(target=interrupt).start()
big = cavs.batch([cavs.InputGraph([[], *([i] for i in range(300))])])
for hidden in (11, 11, 12, 13):
    try:
        model = make("cuda", hidden)
        waiting.set()
        while True:
            model(big, word=[1] * 301, label=[0] * 301)["loss"].sum().backward()
    except KeyboardInterrupt:
        waiting.clear()
    except cavs.CavsError as error:
        raise AssertionError from error
    check(model, hidden)
over = True
waiting.set()
"""


def test_interrupts() -> None:
    """While kernels are compiled, or launched, or waited for."""
    done = python(INTERRUPTED, CAVS_CUDA_CACHE="", CAVS_EMULATOR_CACHE="/dev/full")
    assert_good(done)


THREADS = """
import threading
errors = []
def work(number):
    try:
        for _ in range(10):
            found = models[number % 2](GRAPHS, **INPUTS)["loss"].numpy()
            np.testing.assert_allclose(found, expected[number % 2], rtol=1e-5)
            own = np.float64(number) + np.arange(6)
            x = cavs.Tensor(own, requires_grad=True)
            (x.to(f"cuda:{number % count}") ** 2.0).sum().backward()
            np.testing.assert_array_equal(x.grad, 2 * own)
    except BaseException as error:
        errors.append(error)
count = cavs.cuda.device_count()
models = [make("cuda", 8), make(f"cuda:{count - 1}", 9)]
expected = [make("cpu", hidden)(GRAPHS, **INPUTS)["loss"].numpy() for hidden in (8, 9)]
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not errors, errors
"""


@pytest.mark.parametrize("strict", ["0", "1"])
def test_threads_and_two_models(strict: str) -> None:
    assert_good(python(THREADS, CAVS_EMULATOR_DEVICES="2", CAVS_EMULATOR_STRICT=strict))


def test_arrays_of_two_devices() -> None:
    code = """
model = make("cuda:0")
there = cavs.Tensor(np.ones((3, 4))).to("cuda:1")
here = there.to("cuda:0")
other = make("cuda:1")
class Pulls(cavs.VertexFunction):
    def forward(self, v):
        v.push(y=v.pull("x", 4) * v.pull("z", 4))
F = cavs.compile(Pulls(), device="cuda:0")
for one in (model, other):
    one(GRAPHS, **INPUTS)["loss"].sum().backward()
shared = cavs.models.LSTM(10, 4, 8, 5)
first, second = cavs.compile(shared, device="cuda:0"), cavs.compile(shared, device="cuda:1")
grad = cavs.Tensor(np.ones((10, 4)), "float32").to("cuda:1").data
attempts = (
    lambda: F(GRAPHS, x=here, z=there),
    lambda: F(GRAPHS, x=there.data, z=there.data),
    lambda: cavs.concat([here, there]),
    lambda: here @ there.T,
    lambda: cavs.optim.SGD([*model.parameters(), *other.parameters()], 0.1).step(),
    lambda: list(model.parameters())[0].accumulate_grad(grad),
    lambda: first(GRAPHS, **INPUTS),
)
for attempt in attempts:
    try:
        attempt()
    except (cavs.CavsError, RuntimeError) as error:
        print(error)
    else:
        print("no error")
np.testing.assert_array_equal(F(GRAPHS, x=here, z=here)["y"].numpy(), np.ones((3, 4)))
check(model)
check(other)
"""
    done = python(code, CAVS_EMULATOR_DEVICES="2")
    assert_good(done)
    lines = done.stdout.splitlines()
    assert len(lines) == 7, done.stdout
    for line in lines:
        assert MESSAGE.fullmatch(line), line
        assert "cuda:1" in line


def test_too_little_memory_is_a_line_of_a_command(tmp_path: Path) -> None:

    data = write_small_data(tmp_path)
    words = ["train", "tree-lstm", *words_of({**settings_of("tree-lstm", data), "epochs": 1})]
    words += ["--quiet", "--device", "cuda"]
    codes = []
    for size in (0, 1000, 20_000, 100_000):
        done = subprocess.run(
            [sys.executable, "-m", "cavs", *words, "--output", str(tmp_path / str(size))],
            env=environment(CAVS_EMULATOR_MEMORY=str(size)),
            capture_output=True,
            text=True,
        )
        codes.append(done.returncode)
        if done.returncode == 0:
            break
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "cavs: not enough memory ([memory] expected " in done.stderr
    assert codes[0] == 1
