"""Wrong drivers, devices, compilers and folders: one clear error each, and the process lives on."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cuda_counts import is_emulated
from cuda_driver import has_gpu
from cuda_programs import MESSAGE, MODEL, assert_good, caches, environment, python
from option_settings import settings_of, words_of
from user_model_files import write_small_data

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _emulated() -> None:
    if not is_emulated():
        pytest.skip("a real driver cannot be made to fail")


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
    done = python(code, **caches(tmp_path / "cache"))
    assert_good(done)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert MESSAGE.fullmatch(line), line
        kept = Path(line.rpartition("see the source in ")[2])
        assert kept.parent == tmp_path / "cache"
        assert "__global__" in kept.read_text()


def test_no_compiler_is_a_line_of_a_command(tmp_path: Path) -> None:

    data = write_small_data(tmp_path)
    given = environment(CAVS_EMULATOR_CXX="false", **caches(tmp_path))

    words = ["train", "tree-lstm", *words_of({**settings_of("tree-lstm", data), "epochs": 1})]
    words += ["--quiet", "--output", str(tmp_path / "run"), "--device", "cuda"]
    done = subprocess.run(
        [sys.executable, "-m", "cavs", *words], env=given, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "see the source in" in done.stderr


FOLDERS = ["a file", "nowhere", "full", "garbage"]


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
    folder = {"nowhere": "/proc/nowhere", "full": "/dev/full"}.get(kind)
    done = python(
        "check(hidden=6); check(hidden=6)",
        CAVS_CUDA_CACHE=folder or "" if folder is not None else str(place),
    )
    assert_good(done)
    assert not done.stderr


def test_two_processes_and_one_folder(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    given = environment(**caches(place))
    command = [sys.executable, "-c", MODEL + "check(hidden=9)"]
    both = [subprocess.Popen(command, env=given) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert not [file for file in place.iterdir() if not file.suffix]


def test_killed_while_kernels_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    given = environment(**caches(place))
    command = [sys.executable, "-c", MODEL + "check(hidden=9)"]
    for number in range(3):
        process = subprocess.Popen(command, env=given)
        while process.poll() is None and len(list(place.glob("*"))) <= 2 * number:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert_good(
        python("check(hidden=9)", CAVS_CUDA_CACHE=str(place), CAVS_EMULATOR_CACHE=str(place))
    )
