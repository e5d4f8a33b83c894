"""Threads and instruction sets: settings, forks, several Python threads."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.errors import InputError
from cavs.models import ChildSumTreeLSTM


@pytest.fixture(autouse=True)
def _restore():
    before = core.num_threads()
    yield
    core.set_num_threads(before)


def test_settings():
    assert core.available_cores() >= 1
    core.set_num_threads(5)
    assert core.num_threads() == 5
    for count in (0, -1, 100_000):
        with pytest.raises(InputError, match="number of threads"):
            core.set_num_threads(count)
    assert core.num_threads() == 5


def test_many_regions_with_changing_thread_counts():
    x = np.ones(300_000, np.float32)
    for count in (2, 5, 3, 1, 4) * 20:
        core.set_num_threads(count)
        assert core.sum_squares(x) == 300_000


def test_python_threads_take_turns():
    core.set_num_threads(3)
    arrays = [np.zeros(200_000) for _ in range(4)]
    ones = np.ones(200_000)

    def work(array):
        for _ in range(50):
            core.add_(array, ones)

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for array in arrays:
        assert (array == 50).all()


def test_results_do_not_depend_on_whether_helpers_are_awake():
    """Calls in a row have helpers, one that comes alone has none where they would save little."""
    core.set_num_threads(2)
    model = cavs.compile(ChildSumTreeLSTM(50, 40, 70, 5))
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 9)
    ids = np.arange(graphs.num_vertices, dtype=np.int32)
    found = set()
    for pause in (0.0, 0.01) * 10:
        time.sleep(pause)
        out = model(graphs, word=ids, label=ids % 5)
        out["loss"].sum().backward()
        grads = [np.asarray(p.grad).tobytes() for p in model.parameters()]
        found.add((out["loss"].numpy().tobytes(), *grads))
        model.zero_grad()
    assert len(found) == 1


@pytest.mark.no_tsan
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_fork():
    core.set_num_threads(3)
    x = np.ones(300_000, np.float32)
    assert core.sum_squares(x) == 300_000
    child = os.fork()
    if child == 0:
        os._exit(0 if core.sum_squares(x) == 300_000 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert core.sum_squares(x) == 300_000


def instruction_set(setting):
    script = "from cavs._native import core; print(core.instruction_set())"
    environment = {**os.environ, "CAVS_ISA": setting}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_instruction_set():
    order = ["generic", "avx2", "avx512"]
    best = instruction_set("")
    assert best in order
    for name in order:
        assert instruction_set(name) == min(name, best, key=order.index)


def python(script, **variables):
    """Runs a script with environment variables, and without those of others."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAVS_")} | variables
    return subprocess.run(
        [sys.executable, *script], env=environment, capture_output=True, text=True, check=False
    )


WRONG = {
    "CAVS_ISA": ["no such", "avx1024", "AVX2", "generic,avx2", "a\nb"],
    "CAVS_NUM_THREADS": ["0", "-1", "two", "1025", "9" * 30, "1.5", " 2", "2\n"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_wrong_environment_variables_are_refused_in_one_line(name, value):
    done = python(["-c", "import cavs"], **{name: value})
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"cavs.errors.InputError: [cavs] expected the environment variable {name}"
    )


@pytest.mark.parametrize("name", WRONG)
def test_the_command_line_says_so_without_a_traceback(name):
    done = python(["-m", "cavs", "info"], **{name: WRONG[name][0]})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"cavs: [cavs] expected the environment variable {name}")


def test_the_number_of_threads_at_start():
    script = ["-c", "import cavs; print(cavs.get_num_threads(), cavs.instruction_set())"]
    assert python(script, CAVS_NUM_THREADS="3", CAVS_ISA="generic").stdout == "3 generic\n"
    usual = python(script)
    assert python(script, CAVS_NUM_THREADS="", CAVS_ISA="").stdout == usual.stdout
    assert "CAVS_NUM_THREADS" in python(["-m", "cavs", "info", "--help"]).stdout


REFUSING = """
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
static int left = 1 << 20;
extern "C" void allow_threads(int count) { left = count; }
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*body)(void*),
                              void* given) {
  if (left-- <= 0) return EAGAIN;
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  return reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"))(thread, how, body, given);
}
"""
WITHOUT_THREADS = """
import ctypes, sys
import numpy as np  # has threads of its own
library = ctypes.CDLL(None)
library.allow_threads(int(sys.argv[1]))
import cavs
from cavs._native import core
cavs.set_num_threads(4)
class Function(cavs.VertexFunction):
    def __init__(self):
        self.linear = cavs.nn.Linear(96, 96)
    def forward(self, v):
        v.push(y=self.linear(v.pull("x", 96)))
x = np.ones((400, 96), np.float32)
model = cavs.compile(Function())
graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
w, b = (p.data for p in model.parameters())
for _ in range(20):
    y = model(graphs, x=x)["y"]
    y.sum().backward()
    assert np.allclose(y.numpy(), x @ w.T + b, atol=1e-3)
    assert core.sum_squares(np.ones(2_000_000, np.float32)) == 2_000_000
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library")
@pytest.mark.parametrize("allowed", [0, 1])
def test_fewer_threads_where_the_system_gives_no_more(tmp_path, allowed):
    """It was an error of each call that had helpers."""
    source = tmp_path / "refusing.cpp"
    source.write_text(REFUSING)
    library = tmp_path / "librefusing.so"
    compile_it = ["g++", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    if subprocess.run(compile_it, check=False).returncode != 0:
        pytest.skip("no compiler")
    preloaded = os.environ.get("LD_PRELOAD", "")
    done = python(
        ["-c", WITHOUT_THREADS, str(allowed)], LD_PRELOAD=f"{preloaded} {library}".strip()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
