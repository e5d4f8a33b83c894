"""Wrong drivers, devices, compilers and folders: one clear error each, and the process lives on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cuda_counts import is_emulated
from cuda_driver import has_gpu

pytestmark = pytest.mark.gpu

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


@pytest.fixture(autouse=True)
def _emulated() -> None:
    if not is_emulated():
        pytest.skip("a real driver cannot be made to fail")


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


def assert_good(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def no_library(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("driver") / "libcuda.so"
    file.write_text("no library\n")
    return str(file)


WRONG: dict[str, tuple[dict[str, str | None], str, str]] = {
    "no driver": ({"CAVS_CUDA_DRIVER": None}, "cuda", "expected libcuda.so.1"),
    "no file": ({"CAVS_CUDA_DRIVER": "/nowhere/libcuda.so"}, "cuda", "got '/nowhere/libcuda.so'"),
    "no library": ({"CAVS_CUDA_DRIVER": "NO_LIBRARY"}, "cuda", "invalid ELF header|too short"),
    "another library": ({"CAVS_CUDA_DRIVER": "libm.so.6"}, "cuda", "cuDriverGetVersion"),
    "an old driver": ({"CAVS_EMULATOR_VERSION": "11080"}, "cuda", "got one for 11.8"),
    "no device": ({"CAVS_EMULATOR_DEVICES": "0"}, "cuda", "a driver that sees none"),
    "device 1 of 1": ({"CAVS_EMULATOR_DEVICES": "1"}, "cuda:1", r"expected a GPU in 0\.\.0, got 1"),
    "device 7 of 2": ({"CAVS_EMULATOR_DEVICES": "2"}, "cuda:7", r"expected a GPU in 0\.\.1, got 7"),
}

ATTEMPTS = """
import contextlib, io, sys
from cavs.cli import main
name = sys.argv[1]
x = cavs.Tensor(np.ones(3))
model = make("cpu")
for attempt in (lambda: make(name), lambda: model.to(name), lambda: x.to(name),
                lambda: cavs.cuda.synchronize(name),
                lambda: cavs.Generator(1).normal((2,), device=name)) * 2:
    try:
        attempt()
    except cavs.DeviceError as error:
        print(error)
    else:
        raise AssertionError
assert model.device == "cpu"
assert {p.device for p in model.parameters()} == {"cpu"}
check(model)
assert cavs.cuda.is_available() == (cavs.cuda.device_count() > 0) == (name != "cuda")
with contextlib.redirect_stderr(io.StringIO()) as said:
    assert main(["evaluate", "none.safetensors", "--device", name]) == 1
print(said.getvalue().removeprefix("cavs: "), end="")
with contextlib.redirect_stdout(io.StringIO()) as said:
    assert main(["info"]) == 0
assert name != "cuda" or cavs.cuda.why_not() in said.getvalue(), said.getvalue()
"""


@pytest.mark.parametrize("kind", WRONG)
def test_a_gpu_that_cannot_be_used(kind: str, no_library: str) -> None:
    variables, name, text = WRONG[kind]
    variables = {key: no_library if v == "NO_LIBRARY" else v for key, v in variables.items()}
    if kind == "no driver" and has_gpu():
        pytest.skip("there is one")
    done = python(ATTEMPTS, name, **variables)
    assert_good(done)
    lines = done.stdout.splitlines()
    assert len(lines) == 11
    for line in lines:
        assert MESSAGE.fullmatch(line), line
        assert re.search(text, line), line


def test_a_compiler_that_fails(tmp_path: Path) -> None:
    """The source is kept in the file that the error names; with a compiler all goes on."""
    code = """
import os, sys
make("cuda")
os.environ["CAVS_EMULATOR_CXX"] = "false"
model = make("cuda", 7)
for call in (lambda: model(GRAPHS, **INPUTS), lambda: model(GRAPHS, **INPUTS)["loss"].numpy()):
    try:
        call()
    except cavs.DeviceError as error:
        print(error)
    else:
        raise AssertionError
os.environ.pop("CAVS_EMULATOR_CXX")
check(model, 7)
"""
    place = str(tmp_path / "cache")
    done = python(code, CAVS_CUDA_CACHE=place, CAVS_EMULATOR_CACHE=place)
    assert_good(done)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert MESSAGE.fullmatch(line), line
        kept = Path(line.rpartition("see the source in ")[2])
        assert kept.parent == tmp_path / "cache"
        assert "__global__" in kept.read_text()


def test_no_compiler_is_a_line_of_a_command(tmp_path: Path) -> None:
    from user_model_files import write_small_data

    data = write_small_data(tmp_path)
    words = ["bench", "tree-lstm", "--quick", "--device", "cuda"]
    given = environment(
        CAVS_EMULATOR_CXX="false", CAVS_CUDA_CACHE=str(tmp_path), CAVS_EMULATOR_CACHE=str(tmp_path)
    )
    from option_settings import settings_of, words_of

    words = ["train", "tree-lstm", *words_of({**settings_of("tree-lstm", data), "epochs": 1})]
    words += ["--quiet", "--output", str(tmp_path / "run"), "--device", "cuda"]
    done = subprocess.run(
        [sys.executable, "-m", "cavs", *words], env=given, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "see the source in" in done.stderr


FOLDERS = ["a file", "nowhere", "full", "garbage", "empty name"]


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_kernels_that_is_of_no_use(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    if kind == "a file":
        place.write_text("")
    elif kind == "garbage":
        assert_good(python("check(hidden=6)", CAVS_CUDA_CACHE=str(place)))
        for file in place.iterdir():
            half = file.read_bytes()
            file.write_bytes(half[: len(half) // 2] + b"\0" * 100)
        (place / "folder.cubin").mkdir()
    folder = {"nowhere": "/proc/nowhere", "full": "/dev/full", "empty name": ""}.get(kind)
    done = python("check(hidden=6); check(hidden=6)", CAVS_CUDA_CACHE=folder or "" if folder is not None else str(place))
    assert_good(done)
    assert not done.stderr


def test_two_processes_and_one_folder(tmp_path: Path) -> None:
    place = str(tmp_path / "cache")
    given = environment(CAVS_CUDA_CACHE=place, CAVS_EMULATOR_CACHE=place)
    command = [sys.executable, "-c", MODEL + "check(hidden=9)"]
    both = [subprocess.Popen(command, env=given) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert not [file for file in Path(place).iterdir() if not file.suffix]


def test_killed_while_kernels_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    given = environment(CAVS_CUDA_CACHE=str(place), CAVS_EMULATOR_CACHE=str(place))
    command = [sys.executable, "-c", MODEL + "check(hidden=9)"]
    for number in range(3):
        process = subprocess.Popen(command, env=given)
        while process.poll() is None and len(list(place.glob("*"))) <= 2 * number:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert_good(python("check(hidden=9)", CAVS_CUDA_CACHE=str(place), CAVS_EMULATOR_CACHE=str(place)))


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
    assert not done.stderr


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
            check(models[number % 2], 8 + number % 2)
            own = np.float64(number) + np.arange(6)
            x = cavs.Tensor(own, requires_grad=True)
            (x.to(f"cuda:{number % count}") ** 2.0).sum().backward()
            np.testing.assert_array_equal(x.grad, 2 * own)
    except BaseException as error:
        errors.append(error)
count = cavs.cuda.device_count()
models = [make("cuda", 8), make(f"cuda:{count - 1}", 9)]
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
attempts = (
    lambda: F(GRAPHS, x=here, z=there),
    lambda: F(GRAPHS, x=there.data, z=there.data),
    lambda: cavs.concat([here, there]),
    lambda: here @ there.T,
    lambda: cavs.optim.SGD([*model.parameters(), *other.parameters()], 0.1).step(),
    lambda: list(model.parameters())[0].accumulate_grad(there.data),
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
    from option_settings import settings_of, words_of
    from user_model_files import write_small_data

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
